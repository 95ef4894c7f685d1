/* surface.c - memory that host and engine share: IOSurfaces of one row.
 *
 * The engine reads a surface packed from byte 0, so all it needs of its form
 * is its size (maderix/ANE 4.1). Sizes are rounded up to 48 KiB and 16 KiB
 * multiples: the minimum some systems ask for (Orion) and the granule of the
 * engine's mapping (h3.c-ane, libane), so that no caller meets either rule. A
 * report of this machine may have seen that 16 KiB are enough; and whoever asks
 * the chip what it refuses (rules=none) gets the bytes asked for.
 *
 * The host may touch a surface between IOSurfaceLock and IOSurfaceUnlock, and
 * the engine runs on unlocked ones. Mapping locks, unmapping unlocks. Two
 * cases differ. A surface mapped for writing may be queued as an input before
 * it is unmapped: its run unlocks it. And one that a run only reads may be
 * mapped for reading meanwhile: it is then not locked, which is right because
 * what the engine wrote was made visible (a lock and an unlock) by the run
 * that wrote it. */
#include <string.h>
#include "dev/ane/ane.h"

enum { PAGE = ANE_PAGE, LOCK_READ_ONLY = 1 };

static rc make_iosurface(ane_device *d, size_t bytes, ane_surface *s)
{
    const ane_sys *a = &d->e.sys;
    const ane_string names[] = {*a->kIOSurfaceWidth,           *a->kIOSurfaceBytesPerRow,
                                *a->kIOSurfaceAllocSize,       *a->kIOSurfaceHeight,
                                *a->kIOSurfaceBytesPerElement, *a->kIOSurfacePixelFormat};
    ane_id size = NULL, one = NULL, dict = NULL;
    rc r = ane_make_number(a, (int64_t)bytes, &size);
    if (r == OK) r = ane_make_number(a, 1, &one);
    if (r == OK) {
        ane_id keys[6], values[6] = {size, size, size, one, one, d->e.zero};
        for (int i = 0; i < 6; i++) keys[i] = (ane_id)(uintptr_t)names[i];
        r = ane_make_dict(a, keys, values, 6, &dict);
    }
    if (r == OK) {
        s->surface = a->IOSurfaceCreate((ane_dict)dict);
        if (!s->surface)
            r = err_hint(
                err_fail(E_DEVICE, "the system makes no surface of %zu bytes", bytes),
                "memory that the engine can see is used up: a smaller "
                "train.batch needs less");
        else atomic_fetch_add(&d->e.sys.live, 1);
    }
    ane_drop(a, size);
    ane_drop(a, one);
    ane_drop(a, dict);
    return r;
}

/* What the system made is looked at before it is used. */
static rc check_iosurface(ane_device *d, size_t bytes, ane_surface *s)
{
    const ane_sys *a = &d->e.sys;
    s->allocated = a->IOSurfaceGetAllocSize(s->surface);
    if (s->allocated < bytes)
        return err_fail(E_DEVICE,
                        "a surface of %zu bytes was asked for, the system made %zu",
                        bytes, s->allocated);
    s->object = ane_msg_surface(a, a->class_of[ANE_CLASS_SURFACE], s->surface);
    if (!s->object) return err_fail(E_DEVICE, "the system does not wrap a surface");
    if (a->IOSurfaceLock(s->surface, 0, NULL))
        return err_fail(E_DEVICE, "the system does not lock a new surface");
    s->soft.mem = a->IOSurfaceGetBaseAddress(s->surface);  /* asked for under a lock */
    if (s->soft.mem) memset(s->soft.mem, 0, s->allocated); /* what callers pad with */
    if (a->IOSurfaceUnlock(s->surface, 0, NULL))
        return err_fail(E_DEVICE, "the system does not unlock a new surface");
    if (!s->soft.mem) return err_fail(E_DEVICE, "the system gives a surface no address");
    return OK;
}

static void free_surface(ane_device *d, ane_surface *s)
{
    void *pool = d->e.sys.objc_autoreleasePoolPush();
    ane_drop(&d->e.sys, s->object);
    ane_drop(&d->e.sys, s->surface);
    d->e.sys.objc_autoreleasePoolPop(pool);
    mem_drop(s);
}

rc ane_surface_new(device *dev, const dev_shape *shape, dev_surface **out)
{
    ane_device *d = (ane_device *)dev;
    const ane_sys *a = &d->e.sys;
    size_t bytes;
    TRY(soft_surface_bytes(shape, &bytes));
    size_t room = bytes < d->least_bytes ? d->least_bytes
                                         : mem_add(bytes, PAGE - 1) / PAGE * PAGE;
    if (d->exact_sizes && shape->bytes) room = bytes;
    ane_surface *s = mem_take(sizeof *s);
    if (!s) return E_MEMORY;
    void *pool = a->objc_autoreleasePoolPush();
    rc r = make_iosurface(d, room, s);
    if (r == OK) r = check_iosurface(d, room, s);
    a->objc_autoreleasePoolPop(pool);
    if (r != OK) {
        free_surface(d, s);
        return r;
    }
    s->soft.base = (dev_surface){d->soft.base.driver, dev};
    s->soft.shape = *shape;
    s->soft.bytes = bytes;
    pthread_mutex_lock(&d->soft.lock);
    d->soft.bytes += s->allocated;
    pthread_mutex_unlock(&d->soft.lock);
    *out = &s->soft.base;
    return OK;
}

/* ---- the host's side ---- */
rc ane_map(dev_surface *surface, void **host)
{
    ane_surface *s = (ane_surface *)surface;
    ane_device *d = (ane_device *)surface->dev;
    TRY(soft_map(surface, host));
    pthread_mutex_lock(&d->soft.lock);
    int failed = s->soft.readers ? 0 : d->e.sys.IOSurfaceLock(s->surface, 0, NULL);
    s->locked = !failed && !s->soft.readers;
    pthread_mutex_unlock(&d->soft.lock);
    if (!failed) return OK;
    *host = NULL;
    soft_unmap(surface);
    return err_fail(E_DEVICE, "the system does not lock a surface for the host: 0x%x",
                    (unsigned)failed);
}

/* Under the device's lock. */
static int unlock(ane_device *d, ane_surface *s)
{
    if (!s->locked) return 0;
    s->locked = false;
    return d->e.sys.IOSurfaceUnlock(s->surface, 0, NULL);
}

rc ane_unmap(dev_surface *surface)
{
    ane_surface *s = (ane_surface *)surface;
    ane_device *d = (ane_device *)surface->dev;
    pthread_mutex_lock(&d->soft.lock);
    int failed = unlock(d, s);
    pthread_mutex_unlock(&d->soft.lock);
    TRY(soft_unmap(surface));
    if (!failed) return OK;
    return err_fail(E_DEVICE, "the system does not unlock a surface: 0x%x",
                    (unsigned)failed);
}

void ane_surface_drop(dev_surface *surface)
{
    ane_surface *s = (ane_surface *)surface;
    ane_device *d = (ane_device *)surface->dev;
    pthread_mutex_lock(&d->soft.lock);
    while (s->soft.writers || s->soft.readers)
        pthread_cond_wait(&d->soft.done, &d->soft.lock);
    unlock(d, s);
    d->soft.bytes -= s->allocated;
    pthread_mutex_unlock(&d->soft.lock);
    ane_forget_surface(&d->e, s);
    free_surface(d, s);
}

/* ---- the engine's side ---- */
rc ane_release_to_engine(ane_device *d, const soft_job *job)
{
    int failed = 0;
    pthread_mutex_lock(&d->soft.lock);
    for (int i = 0; i < job->n && !failed; i++)
        failed = unlock(d, (ane_surface *)job->s[i]);
    pthread_mutex_unlock(&d->soft.lock);
    if (!failed) return OK;
    return err_fail(E_DEVICE, "the system does not unlock a surface for the engine: 0x%x",
                    (unsigned)failed);
}

rc ane_take_from_engine(ane_device *d, const soft_job *job)
{
    const ane_sys *a = &d->e.sys;
    for (int i = job->program->ports.n_in; i < job->n; i++) {
        ane_surface *s = (ane_surface *)job->s[i];
        int failed = a->IOSurfaceLock(s->surface, LOCK_READ_ONLY, NULL);
        if (!failed) failed = a->IOSurfaceUnlock(s->surface, LOCK_READ_ONLY, NULL);
        if (failed)
            return err_fail(E_DEVICE,
                            "the system does not show what the engine wrote: 0x%x",
                            (unsigned)failed);
    }
    return OK;
}
