/* surface.c - surfaces of software devices: plain memory, and who may touch it
 * when. A surface that a run in flight will write cannot be mapped; one that
 * runs only read can, for reading (the host's part of a step overlaps with the
 * engine's next program on the same activations). */
#include <string.h>
#include "dev/soft.h"

size_t soft_tensor_bytes(const mil_type *t)
{
    int64_t n = mil_count(t);
    return n < 0 ? SIZE_MAX : mem_mul((size_t)n, mil_dtype_bytes(t->dtype));
}

/* Rules about a surface by itself; those about its place among others are judged
 * when a run is queued. In faithful mode the surface is made and the run fails. */
static rc surface_rules(const soft_device *d, size_t bytes)
{
    const struct {
        dev_rule rule;
        bool broken;
    } checks[] = {
        {RULE_surface_minimum, bytes < 49152},
        {RULE_surface_pages, bytes % 16384 != 0},
    };
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        if (checks[i].broken && d->params.rules_all && !d->params.faithful &&
            d->caps.rule_holds[checks[i].rule])
            return err_fail(E_RULE, "rule '%s': %s; this one has %zu",
                            dev_rule_at(checks[i].rule)->id,
                            dev_rule_at(checks[i].rule)->text, bytes);
    return OK;
}

/* Bounded before any multiplication: sizes come from programs and from users. */
rc soft_surface_bytes(const dev_shape *shape, size_t *out)
{
    mil_type t = {.dtype = shape->dtype, .tensor = true, .rank = shape->rank};
    if (shape->rank < 0 || shape->rank > 5)
        return err_fail(E_SHAPE, "a surface has up to 5 axes, %d were asked",
                        shape->rank);
    for (int i = 0; i < shape->rank; i++) {
        t.d[i] = shape->d[i];
        if (t.d[i] < 1)
            return err_fail(E_SHAPE, "axis %d of a surface is %lld", i,
                            (long long)t.d[i]);
    }
    size_t packed = soft_tensor_bytes(&t);
    if (packed == 0 || packed > PTRDIFF_MAX / 2)
        return err_fail(E_SHAPE, "a surface of %lld elements of %s cannot be made",
                        (long long)mil_count(&t), mil_dtype_text(t.dtype));
    size_t bytes = shape->bytes ? shape->bytes : packed;
    if (bytes > PTRDIFF_MAX / 2)
        return err_fail(E_SHAPE, "a surface of %zu bytes cannot be made", bytes);
    if (bytes < packed)
        return err_fail(E_SHAPE,
                        "a surface of %zu bytes is too small: its tensor has %zu", bytes,
                        packed);
    *out = bytes;
    return OK;
}

rc soft_surface_new(device *dev, const dev_shape *shape, dev_surface **out)
{
    soft_device *d = (soft_device *)dev;
    size_t bytes;
    TRY(soft_surface_bytes(shape, &bytes));
    TRY(surface_rules(d, bytes));
    soft_surface *s = mem_take(sizeof *s);
    if (!s) return E_MEMORY;
    s->mem = mem_take(bytes);
    if (!s->mem) {
        mem_drop(s);
        return E_MEMORY;
    }
    s->base = (dev_surface){d->base.driver, dev};
    s->shape = *shape;
    s->bytes = bytes;
    pthread_mutex_lock(&d->lock);
    d->bytes += bytes;
    pthread_mutex_unlock(&d->lock);
    *out = &s->base;
    return OK;
}

/* The reason is found under the lock and told outside it. */
rc soft_map(dev_surface *surface, void **host)
{
    soft_surface *s = (soft_surface *)surface;
    soft_device *d = (soft_device *)surface->dev;
    const char *fault = NULL;
    pthread_mutex_lock(&d->lock);
    if (s->mapped) fault = "it is mapped already";
    else if (s->writers) fault = "a run that writes it is in flight";
    else if (s->invalid) fault = "the run that should have written it failed";
    else s->mapped = true;
    pthread_mutex_unlock(&d->lock);
    if (fault) return err_fail(E_DEVICE, "the surface cannot be mapped: %s", fault);
    *host = s->mem;
    return OK;
}

rc soft_unmap(dev_surface *surface)
{
    soft_surface *s = (soft_surface *)surface;
    soft_device *d = (soft_device *)surface->dev;
    pthread_mutex_lock(&d->lock);
    bool was = s->mapped;
    s->mapped = false;
    pthread_mutex_unlock(&d->lock);
    return was ? OK : err_fail(E_DEVICE, "the surface is not mapped");
}

/* Dropping waits for runs that still use the surface: its memory must outlive
 * them, and a caller that cleans up after an error cannot know which those are. */
void soft_drop(dev_surface *surface)
{
    soft_surface *s = (soft_surface *)surface;
    soft_device *d = (soft_device *)surface->dev;
    pthread_mutex_lock(&d->lock);
    while (s->writers || s->readers) pthread_cond_wait(&d->done, &d->lock);
    d->bytes -= s->bytes;
    pthread_mutex_unlock(&d->lock);
    mem_drop(s->mem);
    mem_drop(s);
}
