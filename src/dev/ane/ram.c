/* ram.c - where memory looks like a disk.
 *
 * staging=ram: what the system is to compile lies in memory, not on flash.
 * Linux has such a folder; macOS has none until somebody attaches a RAM disk,
 * which takes a command (hdiutil), so it is named and not made. That a volume of
 * that name is in memory is the word of whoever made it. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif
#include "dev/ane/ane.h"

#ifdef __linux__
#define RAM "/dev/shm"

static bool is_memory(const char *path)
{
    struct statfs st;
    unsigned long tmpfs = 0x01021994, ramfs = 0x858458f6; /* statfs(2) */
    return !statfs(path, &st) && ((unsigned long)st.f_type == tmpfs ||
                                  ((unsigned long)st.f_type & 0xffffffff) == ramfs);
}
#define HOW "mount a tmpfs on " RAM ", or give a folder: staging=FOLDER"
#else
#define RAM "/Volumes/anneal-ram"

static bool is_memory(const char *path)
{
    struct stat there, above;
    return !stat(path, &there) && !stat("/Volumes", &above) && S_ISDIR(there.st_mode) &&
           there.st_dev != above.st_dev;
}
/* 2097152 sectors of 512 bytes: 1 GiB, taken as it fills. */
#define HOW                                                           \
    "diskutil erasevolume HFS+ anneal-ram $(hdiutil attach -nomount " \
    "ram://2097152); or give a folder: staging=FOLDER"
#endif

rc ane_ram_folder(char *out, size_t size)
{
    if (is_memory(RAM)) {
        snprintf(out, size, "%s", RAM);
        return OK;
    }
    return err_hint(err_fail(E_DEVICE, "there is no memory disk at " RAM), "%s", HOW);
}

/* Where the caller named a folder it is theirs to say what it stands on. */
rc ane_quiet(const char *params, str *words, const char **still)
{
    ane_params p;
    char ram[ANE_PATH];
    TRY(ane_params_parse(params, &p));
    str_add(words, "cache=off");
    if (*p.staging) return str_done(words);
    if (ane_ram_folder(ram, sizeof ram) == OK) str_add(words, ",staging=ram");
    else {
        err_clear();
        *still = "the driver stages programs in the temporary folder while they are "
                 "loaded; staging=ram says how they stay in memory";
    }
    return str_done(words);
}
