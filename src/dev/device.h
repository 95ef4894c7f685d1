/* device.h - the whole contract between anneal and a neural engine.
 *
 * A device takes a program (MIL text and its weight blobs), compiles it, and
 * runs it on surfaces. It knows nothing of graphs, models or training. A
 * driver fills in one dev_driver; the null driver is the commented skeleton.
 *
 * Life: dev_open -> dev_load (compile, once) -> dev_surface -> per step: map,
 * write, unmap, dev_run (returns a ticket), dev_wait -> ... -> dev_unload,
 * dev_drop, dev_close.
 *
 * Threads: a device may be used from several threads; a surface may be mapped
 * by one thread at a time and not while a run that uses it is in flight. */
#ifndef DEV_DEVICE_H
#define DEV_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "kern/kern.h"
#include "mil/mil.h"

typedef struct device device;
typedef struct dev_program dev_program;
typedef struct dev_surface dev_surface;

/* What memory a surface is: dtype and shape up to [N,C,H,W], rows contiguous.
 * `bytes` is the allocation, >= the packed tensor; 0 = just that. A surface
 * larger than a program's tensor is read packed from byte 0 (Orion, M4 Max). */
typedef struct {
    mil_dtype dtype;
    int rank;
    int64_t d[5];
    size_t bytes;
} dev_shape;

typedef struct {
    const char *name; /* for messages: "layer.fwd" */
    const char *mil;
    size_t mil_bytes;
    const mil_blob_file *files;
    int n_files;
} dev_source;

/* Chip profile: one row of profiles.def. A number the sources do not give is
 * DEV_UNKNOWN (NaN / -1), never a guess. */
typedef struct dev_profile dev_profile;

enum { DEV_RULES_MAX = 128 };
typedef struct {
    char uri[512];              /* what was really opened: "emu:m4,fast" */
    char model[32];             /* "m4" */
    const dev_profile *profile; /* NULL where unknown */
    bool computes;              /* false for null: outputs are undefined */
    bool wide;                  /* without the chip's arithmetic: its rules are for
                                   plans to keep, but do not show in the numbers */
    bool hardware;              /* a real engine: what it drops nobody counts */
    bool drops;                 /* software: products go through the chip's own
                                   accumulator, which drops small ones (kern/exact.h) */
    bool counts;                /* dev_counts_of has numbers to give */
    /* Limits in force, 0 = none. */
    size_t surface_min_bytes, surface_align;
    int programs_max; /* loaded at a time */
    int compiles_max; /* per process */
    int queue_depth;
    /* rules[i] (row i of rules.def): does it hold here, and is it disputed
     * (holds by some sources only)? A planner keeps rules that hold. */
    uint8_t rule_holds[DEV_RULES_MAX], rule_disputed[DEV_RULES_MAX];
    /* Where rules and limits come from beside the tables, or why a report was
     * not heeded: "rules from the report of 2026-01-31T10:00:00Z". "" = the
     * tables alone. */
    char learned[240];
} dev_caps;

/* Live readings. An absent reading is absent (valid bit clear), not zero.
 * WATTS and GBS (traffic with memory, GB/s, both ways) are the engine's, by
 * whatever runs on it; BUSY is the part of the time since the last sample in
 * which a run of this device was with the engine; LOADS are compiles so far,
 * LOADED programs now, BYTES those of surfaces. */
enum { DEV_WATTS, DEV_GBS, DEV_BUSY, DEV_LOADS, DEV_LOADED, DEV_BYTES, DEV_READINGS };
typedef struct {
    double value[DEV_READINGS];
    unsigned valid;
    unsigned at_least; /* valid, but the meter ends there: it may be more */
} dev_sample;

/* The mean of a reading over the time of something: zeroed, then one
 * dev_mean_add every so often. Turns without a reading do not count. */
typedef struct {
    double sum;
    int n;
} dev_mean;

/* What one run did. */
typedef struct {
    double ms;           /* measured, host clock */
    double predicted_ms; /* < 0 where there is no model */
    double flops;        /* 2*MAC of matmul, linear and conv run */
    uint64_t infinities; /* made by ops from finite inputs */
    /* The chip's own arithmetic, `exact`, tells of sums that overflowed; if it was
     * asked to count, of products that were dropped whole, and of elementwise
     * results that are 0 by rounding. */
    bool exact, counted;
    uint64_t saturated, dropped_products, flushed;
} dev_stats;

/* One op of a program that the multiply-accumulate array computes (matmul,
 * linear, conv, ...): its products of two numbers that are both not zero, those
 * of them that were dropped whole, and the sums that overflowed. A convolution
 * by Winograd has the products of its transformed operands, as the engine does. */
typedef struct {
    const char *name; /* of the result, in the program's text */
    const char *op;   /* as the text calls it */
    uint64_t products, dropped, saturated;
} dev_product;
/* Since the program was loaded. */
typedef struct {
    uint64_t runs, infinities, flushed; /* as in dev_stats */
    int n;
    const dev_product *product; /* in the order of the text */
} dev_counts;

/* A function of a program as a caller needs it, in binding order. */
typedef struct {
    const char *name;
    mil_type type;
} dev_port;
typedef struct {
    int n_in, n_out;
    const dev_port *in, *out;
} dev_ports;

/* What is known of a driver's machine without opening a device: a row each of
 * what it is ("machine": chip, build, ...) and of what the driver stands on
 * ("symbol", "class", "method", ...), what was expected of it and what is
 * there. All texts live for the call. */
typedef struct {
    const char *kind, *name;
    const char *expected, *had; /* "" = nothing in particular, absent */
    bool ok;                    /* as expected, or absent and not needed */
} dev_fact;
typedef void dev_fact_sink(void *ctx, const dev_fact *f);

/* What remembered things are bound to: another chip, system or library may do
 * otherwise. Empty texts are unknown. */
typedef struct {
    char chip[64], os[32], build[32]; /* "Apple M4", "15.3.1", "24D70" */
    char lib[200];                    /* one that stands in for the system's own */
} dev_machine;

typedef struct dev_driver dev_driver;
typedef struct dev_cache dev_cache; /* dev/cache.h */
struct dev_sight;
struct dev_driver {
    const char *name;  /* the word before ':' in "emu:m4" */
    const char *form;  /* how its URIs look: "emu:MODEL" */
    const char *about; /* one line for `device ls` */
    /* params: after ':'. state: the folder where a driver may keep what it has
     * learned of this machine, or NULL to remember nothing; borrowed, may be
     * made, and nothing in it may be needed. */
    rc (*open)(const char *params, kern *k, const char *state, device **out);
    void (*close)(device *d);
    rc (*caps)(device *d, dev_caps *out);
    rc (*load)(device *d, const dev_source *src, dev_program **out);
    rc (*reload)(dev_program *p, const mil_blob_file *files, int n);
    void (*unload)(dev_program *p);
    rc (*ports)(dev_program *p, dev_ports *out);
    rc (*surface)(device *d, const dev_shape *shape, dev_surface **out);
    rc (*map)(dev_surface *s, void **host);
    rc (*unmap)(dev_surface *s);
    void (*drop)(dev_surface *s);
    rc (*run)(dev_program *p, dev_surface *const *in, int n_in, dev_surface *const *out,
              int n_out, uint64_t *ticket);
    rc (*wait)(device *d, uint64_t ticket, dev_stats *stats);
    rc (*sample)(device *d, dev_sample *out);
    /* Can an op with these types run? *why is static text or NULL. */
    rc (*supports)(device *d, const char *mil_op, int n, const mil_type *types,
                   const char **why);
    /* Doubts about a loaded program (disputed rules it breaks), static for its
     * life; may be NULL. */
    size_t (*warnings)(dev_program *p, const char *const **out);
    /* NULL: counts nothing. */
    rc (*counts)(dev_program *p, dev_counts *out);
    /* dev/cache.h; NULL where nothing is kept. */
    rc (*cache)(device *d, dev_cache *out);
    rc (*cache_try)(device *d, bool *works);
    /* ---- real chips; software devices leave them out ---- */
    /* It drives a chip that may not be as the tables say, and code of others
     * that may end the process: rules are probed in processes of their own. */
    bool chip;
    /* params as for open; nothing is opened. */
    rc (*facts)(const char *params, dev_fact_sink *put, void *ctx);
    /* The machine by a few harmless questions to the system; E_DEVICE where
     * there can be no such chip. */
    rc (*machine)(const char *params, dev_machine *out);
    /* Words that make it write nothing to a disk, as far as that is in its power,
     * put behind those of `words`; *still: what it writes nevertheless, static, or
     * NULL. Left out by drivers that never write. */
    rc (*quiet)(const char *params, str *words, const char **still);
    /* Questions that only the driver can put (checks.def, CHIP), by their id;
     * *out is a dev_sight (probe.h), with its value NaN. May be NULL. */
    rc (*ask)(device *d, const char *id, struct dev_sight *out);
};
/* Every driver's device/program/surface begins with these. */
struct device {
    const dev_driver *driver;
    char why[240]; /* "auto" alone: why this device */
};
struct dev_program {
    const dev_driver *driver;
    device *dev;
};
struct dev_surface {
    const dev_driver *driver;
    device *dev;
};

/* "emu:m4", "emu:m1,faithful", "null:m4", "auto"; E_DEVICE with a list of what
 * there is otherwise. `k` is borrowed (software engines compute on it).
 *
 * "auto" takes the chip of this machine if a self-check of it is remembered in
 * `state` as passed (known.h), else the software engine; words after it are the
 * chip driver's. It asks nothing of the chip before: whoever can spawn itself
 * makes the self-check first (the command does). dev_why says what was decided. */
rc dev_open(const char *uri, kern *k, device **out);
/* The same, and what drivers remember of this machine (compiled programs,
 * reports, self-checks) is kept in the folder `state`: made when first written,
 * of no use to another machine. NULL: nothing is remembered or consulted. */
rc dev_open_at(const char *uri, kern *k, const char *state, device **out);
void dev_close(device *d);
/* Of a device opened as "auto": why it is this one. Else "". */
const char *dev_why(const device *d);
rc dev_caps_of(device *d, dev_caps *out);
/* Compile. Refusals are E_RULE naming the rule, E_BUDGET for limits, E_FORMAT
 * for bad text; the program owns copies of all it needs. */
rc dev_load(device *d, const dev_source *src, dev_program **out);
/* The same program with other weights: all change or none. Where weights are
 * part of what was compiled it counts as a compile, with E_BUDGET when none is
 * left; a chip may want a free slot meanwhile. */
rc dev_reload(dev_program *p, const mil_blob_file *files, int n);
void dev_unload(dev_program *p);
/* Ports in binding order: the order in which run takes its surfaces, which on
 * Apple's engine is alphabetical by name, not as declared. */
rc dev_ports_of(dev_program *p, dev_ports *out);
rc dev_surface_new(device *d, const dev_shape *shape, dev_surface **out);
/* Host address until unmap. E_DEVICE while a run that writes it is in flight
 * or after such a run failed (its contents are invalid until written). */
rc dev_map(dev_surface *s, void **host);
rc dev_unmap(dev_surface *s);
void dev_drop(dev_surface *s);
/* Queue one run; surfaces in port order. Runs start in the order queued. */
rc dev_run(dev_program *p, dev_surface *const *in, int n_in, dev_surface *const *out,
           int n_out, uint64_t *ticket);
/* Wait for one ticket: that run's own result. stats may be NULL. */
rc dev_wait(device *d, uint64_t ticket, dev_stats *stats);
/* What a program's runs have counted; waits for those in flight. The table lives
 * as long as p and changes with its next run. E_UNIMPL where caps.counts is false:
 * a real engine tells nobody, other arithmetic drops nothing, and `exact` counts
 * when the URI has ",count". */
rc dev_counts_of(dev_program *p, dev_counts *out);
rc dev_sample_of(device *d, dev_sample *out);
void dev_mean_add(dev_mean *m, device *d, int reading);
double dev_mean_of(const dev_mean *m); /* NaN: there was none */
rc dev_supports(device *d, const char *mil_op, int n, const mil_type *types,
                const char **why);
/* What a program does that some sources say the chip gets wrong: one line per
 * rule, "rule 'tile_poison' (disputed): ...". *out lives as long as p. */
size_t dev_warnings(dev_program *p, const char *const **out);

/* Facts by URI, without opening it. A driver without any gives none. */
rc dev_facts_of(const char *uri, dev_fact_sink *put, void *ctx);
/* The machine that a URI's driver stands on; E_UNIMPL for software devices. */
rc dev_machine_of(const char *uri, dev_machine *out);
/* "auto", "auto:WORDS" -> the chip that could be taken, "ane:WORDS"; false for
 * any other URI. */
bool dev_auto_chip(const char *uri, char *out, size_t size);
/* A chip's URI as its rules are probed: nothing refused by our own tables, and
 * with `unlimited` no budget of ours either. */
void dev_probe_uri(const char *uri, bool unlimited, char *out, size_t size);
/* The same device, or `auto` of such chips, that keeps nothing on a disk; *still:
 * what it writes there nevertheless, static, or NULL. */
rc dev_quiet_uri(const char *uri, str *out, const char **still);
/* The driver a URI names, and its parameters; NULL if there is none such. */
const dev_driver *dev_driver_of(const char *uri, const char **params);

/* Drivers known, for `device ls`. */
size_t dev_driver_count(void);
const dev_driver *dev_driver_at(size_t i);

#endif
