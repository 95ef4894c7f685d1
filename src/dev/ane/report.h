/* report.h - what the engine draws, from the system's own meters (IOReport).
 * Everything here may be absent. */
#ifndef DEV_ANE_REPORT_H
#define DEV_ANE_REPORT_H

#include "dev/ane/cf.h"

typedef struct ane_report ane_report;
/* NULL, without an error, where the system has no such meters. */
ane_report *ane_report_open(const ane_sys *a);
void ane_report_close(ane_report *r);
/* Mean power since the last call (the first: since opening). False if unknown. */
bool ane_report_watts(ane_report *r, double *watts);

#endif
