/* An array is one block: its head, its values, and the bytes that texts and blobs
 * among them point to. */

#include "engine/array.h"

#include <sys/uio.h>

#include "engine/alloc.h"

static size_t
size_of(enum csq_array_type type)
{
    switch (type) {
    case CSQ_ARRAY_INT32:
        return sizeof(int32_t);
    case CSQ_ARRAY_BLOB:
        return sizeof(struct iovec);
    default:
        return sizeof(int64_t);
    }
}

struct csq_array *
csq_array_new(enum csq_array_type type, int count, size_t room)
{
    size_t values = (size_t)count * size_of(type);
    struct csq_array *array;

    if (room > SIZE_MAX - sizeof *array - values) {
        return NULL;
    }
    array = csq_malloc(sizeof *array + values + room);
    if (array != NULL) {
        atomic_init(&array->references, 1);
        array->type = type;
        array->count = count;
        array->room = (char *)array->values + values;
    }
    return array;
}

struct csq_array *
csq_array_get(struct csq_array *array)
{
    atomic_fetch_add_explicit(&array->references, 1, memory_order_relaxed);
    return array;
}

void
csq_array_put(struct csq_array *array)
{
    if (array != NULL && atomic_fetch_sub(&array->references, 1) == 1) {
        csq_free(array);
    }
}
