/* keys.c - the order in which a dictionary gives its keys.
 *
 * Apple promises none, but code that takes the first of them (saveModelFiles,
 * the descriptor's hash of the weights) depends on it, so the fake has the
 * order that the published Core Foundation gives: a key goes to the bucket
 * hash modulo size, the next free one if it is taken, and buckets are read
 * upwards. Sizes and the hash of a string are those of CFBasicHash.c and
 * CFString.c (CF-Lite). A test may turn the order round. */
#include <stdlib.h>
#include <string.h>
#include "methods.h"
#include "state.h"

static const size_t capacities[] = {3, 6, 11, 19, 32, 52},
                    sizes[] = {3, 7, 13, 23, 41, 71};

static size_t hash_of(id key)
{
    const fake_bytes *s = (const fake_bytes *)key;
    const unsigned char *p = (const unsigned char *)s->p;
    size_t h = s->n, i = 0;
    for (; s->n - i >= 4; i += 4)
        h = h * 67503105 + p[i] * (size_t)16974593 + p[i + 1] * (size_t)66049 +
            p[i + 2] * (size_t)257 + p[i + 3];
    for (; i < s->n; i++) h = h * 257 + p[i];
    return h + (h << (s->n & 31));
}

/* Indices into d->k in order. A dictionary larger than the table, or with keys
 * that are no strings, keeps the order in which it was filled. */
static size_t *order_of(const fake_dictionary *d)
{
    size_t *out = fake_take((d->n + 1) * sizeof *out), size = 0, n = 0;
    bool texts = true;
    for (size_t i = 0; i < d->n; i++) texts &= fake_is(d->k[i], CLASS_string);
    for (size_t i = 0; !size && i < sizeof sizes / sizeof *sizes; i++)
        if (d->n <= capacities[i]) size = sizes[i];
    if (!texts || !size) {
        for (size_t i = 0; i < d->n; i++) out[i] = i;
        return out;
    }
    size_t *bucket = fake_take(size * sizeof *bucket); /* 0 = free */
    for (size_t i = 0; i < d->n; i++) {
        size_t at = hash_of(d->k[i]) % size;
        while (bucket[at]) at = (at + 1) % size;
        bucket[at] = i + 1;
    }
    for (size_t at = 0; at < size; at++)
        if (bucket[at]) out[n++] = bucket[at] - 1;
    free(bucket);
    return out;
}

size_t fake_first(id dictionary)
{
    const fake_dictionary *d = (const fake_dictionary *)dictionary;
    size_t *order = order_of(d), first = order[fake_keys_turned() ? d->n - 1 : 0];
    free(order);
    return first;
}

id dictionary_keys(id self, SEL op)
{
    const fake_dictionary *d = (const fake_dictionary *)self;
    if (fake_fails()) return NULL;
    id list = fake_array_new(d->n);
    size_t *order = order_of(d);
    for (size_t i = 0; i < d->n; i++)
        ((fake_array *)list)->v[i] = objc_retain(
            d->k[order[fake_keys_turned() ? d->n - 1 - i : i]]);
    free(order);
    return objc_autorelease(list);
}
