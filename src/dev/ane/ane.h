/* ane.h - the driver's device, programs and surfaces. What software devices
 * need as well (reading and judging programs, tickets, who may map what) is
 * theirs: dev/soft.h. Added here are the engine behind it and memory that the
 * engine can see. */
#ifndef DEV_ANE_ANE_H
#define DEV_ANE_ANE_H

#include "dev/ane/model.h"
#include "dev/ane/report.h"

typedef struct {
    soft_device soft;
    ane_engine e;
    ane_report *report; /* NULL: the system has no meters */
    bool exact_sizes;   /* surfaces have the bytes asked for, whatever they are */
    size_t least_bytes; /* of other surfaces */
} ane_device;

typedef struct {
    soft_program soft;
    ane_model *model;
} ane_program;

typedef struct {
    soft_surface soft; /* .mem is the address of the IOSurface */
    ane_iosurface surface;
    ane_id object; /* its _ANEIOSurfaceObject */
    size_t allocated;
    bool locked; /* by the host; guarded by the device's lock */
} ane_surface;

/* The words after "ane:". Both paths fit in caps.uri. */
enum { ANE_WORD = 200 };
typedef struct {
    soft_params soft;
    char lib[ANE_WORD];     /* "" = the system's own */
    char staging[ANE_WORD]; /* "" = the user's temporary folder, "ram" = memory */
    const ane_route *route; /* NULL = by trial */
    ane_weights weights;    /* BY_TRIAL unless told */
    uint64_t cache_mb;      /* the most that is kept of compiled programs; 0 = off */
    bool no_rules;          /* let the chip refuse, not the tables */
} ane_params;
rc ane_params_parse(const char *text, ane_params *out);

/* surface.c. Surfaces have ANE_SURFACE_LEAST bytes or more unless a report says
 * that less is enough, in multiples of ANE_PAGE. */
enum { ANE_PAGE = 16384, ANE_SURFACE_LEAST = 3 * ANE_PAGE };
rc ane_surface_new(device *d, const dev_shape *shape, dev_surface **out);
rc ane_map(dev_surface *s, void **host);
rc ane_unmap(dev_surface *s);
void ane_surface_drop(dev_surface *s);
/* Around a run, on its worker: end the host's locks on what it uses, so that
 * what was written is seen; afterwards make what the engine wrote visible. */
rc ane_release_to_engine(ane_device *d, const soft_job *job);
rc ane_take_from_engine(ane_device *d, const soft_job *job);

/* chip.c: the profile of this machine's chip, and its number of engines.
 * E_DEVICE where there is no engine, or one that no profile knows. */
rc ane_chip(const ane_sys *a, const dev_profile **profile, int *engines);
/* By the engine's name for itself, "h16g"; NULL if that is no family known. */
const dev_profile *ane_profile_of(const char *name);

/* machine.c: facts of kind "machine" (chip, build, memory ...) by the system's
 * own words, whether or not there is an engine; `lib` as in ane_sys_open. */
void ane_machine_facts(const char *lib, dev_fact_sink *put, void *ctx);
/* And of kind "meter": those that an engine would be read by. */
void ane_meter_facts(const ane_sys *a, dev_fact_sink *put, void *ctx);
/* describe.c: without opening anything (device.h). */
rc ane_machine(const char *params, dev_machine *out);
rc ane_tell_facts(const char *params, dev_fact_sink *put, void *ctx);

/* ask.c: questions of checks.def that only this driver can put. */
rc ane_ask(device *d, const char *id, struct dev_sight *out);
/* ram.c: a folder that is memory. E_DEVICE, with what to type, without one. */
rc ane_ram_folder(char *out, size_t size);
/* As dev_driver.quiet. */
rc ane_quiet(const char *params, str *words, const char **still);

/* trial.c: run one tiny program by e->route and look at its numbers. */
rc ane_trial(ane_device *d);

#endif
