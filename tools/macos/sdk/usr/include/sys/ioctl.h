/* ioctl.h - the size of a terminal. */
#ifndef SDK_SYS_IOCTL_H
#define SDK_SYS_IOCTL_H

struct winsize {
    unsigned short ws_row, ws_col, ws_xpixel, ws_ypixel;
};

#define TIOCGWINSZ 0x40087468

int ioctl(int fd, unsigned long what, ...);

#endif
