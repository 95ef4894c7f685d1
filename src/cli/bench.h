/* bench.h - between the files of `anneal bench`. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "cli/verbs.h"
#include "plan/plan.h"

/* Time each program of a plan by itself; a table, or rows[] with --json. */
rc cli_bench_programs(const args *a, const plan *p, device *dev, int repeat);

#endif
