/* null.c - the device that does everything except compute, and the manual for
 * whoever writes a driver.
 *
 * A driver is one table of functions (dev_driver). The rest of the program
 * reaches it only through that table; its name is the word before ':' in a
 * URI; device.c lists it. Its own state stands behind the three structs that
 * every handle begins with: device, dev_program, dev_surface. Plans can be
 * made, loaded and counted on null, on any machine, for any chip it has a
 * profile of; surfaces hold what the host writes, and results are never
 * written. */
#include "dev/soft.h"

extern const dev_driver dev_null_driver;

/* open: read the parameters ("m4,rules=all"), find the hardware, take what
 * lasts for the life of the device. `k` is the caller's processor kernels, for
 * engines that compute on them; it may be NULL here. `state` is where a driver
 * may remember what it learned of the machine; it may be NULL. E_DEVICE, with
 * what there is to choose from, if the device is not there. */
static rc null_open(const char *text, kern *k, const char *state, device **out)
{
    soft_params params;
    TRY(soft_params_parse("null", false, text, &params));
    soft_device *d = mem_take(sizeof *d);
    if (!d) return E_MEMORY;
    rc r = soft_start(d, &dev_null_driver, &params, k, NULL);
    if (r != OK) {
        soft_stop(d);
        mem_drop(d);
        return r;
    }
    *out = &d->base;
    return OK;
}

/* close: all programs are unloaded and surfaces dropped; let runs end. */
static void null_close(device *d)
{
    soft_stop((soft_device *)d);
    mem_drop(d);
}

/* load: compile. Copy what must outlive `src`. Refuse with E_RULE and the
 * rule's name what the hardware would get wrong, with E_BUDGET what goes past
 * a limit, with E_FORMAT what is not sound MIL. soft_load does all that. */
static rc null_load(device *d, const dev_source *src, dev_program **out)
{
    soft_program *p = mem_take(sizeof *p);
    if (!p) return E_MEMORY;
    rc r = soft_load((soft_device *)d, src, p);
    if (r != OK) {
        mem_drop(p);
        return r;
    }
    soft_loaded(p);
    *out = &p->base;
    return OK;
}

/* reload: the same program with other weights; either all weights change or
 * none. Runs in flight end first. It counts as a compile: on the chips known,
 * weights are part of what was compiled (maderix/ANE 9, libane). */
static rc null_reload(dev_program *program, const mil_blob_file *files, int n)
{
    return soft_rebind((soft_program *)program, files, n);
}

/* unload: give the slot back; runs in flight end first. */
static void null_unload(dev_program *program)
{
    soft_unload((soft_program *)program);
    mem_drop(program);
}

const dev_driver dev_null_driver = {
    .name = "null",
    .form = "null:MODEL",
    .about = "plans, checks and counts for any chip; computes nothing",
    .open = null_open,
    .close = null_close,
    /* caps: limits in force, which rules hold, what is known of the chip. */
    .caps = soft_caps,
    .load = null_load,
    .reload = null_reload,
    .unload = null_unload,
    /* ports: names and types in the order in which surfaces bind. */
    .ports = soft_ports,
    /* surface, map, unmap, drop: memory the engine reads and writes. Mapping
     * is refused while a run that writes it is in flight, or after one failed. */
    .surface = soft_surface_new,
    .map = soft_map,
    .unmap = soft_unmap,
    .drop = soft_drop,
    /* run: queue and return a ticket at once; block only when the queue is
     * full. wait: the result of that one run, with its own error text. */
    .run = soft_run,
    .wait = soft_wait,
    /* sample: readings that exist; clear the bit of one that does not. */
    .sample = soft_sample,
    /* supports: could an op with these types run, and if not, why. */
    .supports = soft_supports,
    .warnings = soft_warnings,
};
