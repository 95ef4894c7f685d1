/* locale.h - the locale. */
#ifndef SDK_LOCALE_H
#define SDK_LOCALE_H

#define LC_ALL 0
#define LC_COLLATE 1
#define LC_CTYPE 2
#define LC_MONETARY 3
#define LC_NUMERIC 4
#define LC_TIME 5

struct lconv { /* only the fields before the monetary numbers are named */
    char *decimal_point;
    char *thousands_sep;
    char *grouping;
    char *sdk_texts[7];
    char sdk_numbers[14];
};

char *setlocale(int category, const char *name);
struct lconv *localeconv(void);

#endif
