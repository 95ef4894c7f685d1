/* clock.h - time for people and for measuring. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

double clock_ms(void);       /* monotonic, in milliseconds */
double clock_unix(void);     /* seconds since 1970 */
size_t clock_peak_rss(void); /* peak resident bytes of this process */
size_t clock_now_rss(void);  /* resident bytes now, 0 where unknown */

#endif
