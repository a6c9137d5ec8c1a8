/*
 * Where the fields of a record batch (magic 2) lie, in bytes: https://kafka.apache.org/documentation/#recordbatch
 * Base offset int64 · length int32, of what follows · leader epoch int32 · magic int8 · CRC int32 · attributes int16 · last offset delta int32 ·
 * base timestamp int64 · max timestamp int64 · producer id int64 · producer epoch int16 · base sequence int32 · number of records int32 ·
 * records, packed as a whole.
 */
export const LENGTH_AT = 8
export const LEADER_EPOCH_AT = 12
export const MAGIC_AT = 16
export const CRC_AT = 17
export const ATTRIBUTES_AT = 21
export const LAST_OFFSET_DELTA_AT = 23
export const BASE_TIMESTAMP_AT = 27
export const MAX_TIMESTAMP_AT = 35
export const PRODUCER_ID_AT = 43
export const COUNT_AT = 57
/** Bytes of a batch before its records. */
export const BATCH_HEADER_BYTES = 61

export const MAGIC = 2
