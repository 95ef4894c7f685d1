/* report.h - what the engine draws and moves, from the system's own meters
 * (IOReport; rows of meters.def). Everything here may be absent. */
#ifndef DEV_ANE_REPORT_H
#define DEV_ANE_REPORT_H

#include "dev/ane/cf.h"
#include "dev/device.h"

enum { ANE_REPORT_EVERY_MS = 250 };

typedef struct ane_report ane_report;
/* NULL, without an error, where the system has no such meters. What is read is
 * the mean of an interval of at least `every_ms`; asked sooner, the last
 * reading is given again. */
ane_report *ane_report_open(const ane_sys *a, double every_ms);
void ane_report_close(ane_report *r);
/* Add DEV_WATTS and DEV_GBS to `out` where they are known. `worked`: the engine
 * had runs of ours since the last call, so a counter that stood still is no
 * counter. Safe from several threads. */
void ane_report_read(ane_report *r, bool worked, dev_sample *out);
/* The meters subscribed to, "Energy Model: ANE0 (mJ)"; NULL past the end. */
const char *ane_report_meter(const ane_report *r, int i);
/* What that meter is of: "watts" or "gbs". */
const char *ane_report_unit(const ane_report *r, int i);

#endif
