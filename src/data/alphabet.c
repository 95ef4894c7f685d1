/* alphabet.c - how byte-level BPE spells bytes in a JSON text: bytes that print
 * in Latin-1 stand for themselves; the other 68, in order, take the code points
 * from 256 on (so a space is U+0120). Source: the published encoder of GPT-2. */
#include <string.h>
#include "data/tokenizer.h"

static bool prints(unsigned b)
{
    return (b > 32 && b < 127) || (b > 160 && b != 173);
}

void byte_to_letter(unsigned char byte, char out[3])
{
    unsigned c = byte;
    if (!prints(byte)) {
        c = 256;
        for (unsigned b = 0; b < byte; b++) c += !prints(b);
    }
    memset(out, 0, 3);
    if (c < 128) {
        out[0] = (char)c;
        return;
    }
    out[0] = (char)(0xC0 | c >> 6);
    out[1] = (char)(0x80 | (c & 63));
}

/* -1 if the code point is no letter of the alphabet. */
static int letter_to_byte(unsigned c)
{
    if (c < 256) return prints(c) ? (int)c : -1;
    c -= 256;
    for (unsigned b = 0; b < 256; b++)
        if (!prints(b) && c-- == 0) return (int)b;
    return -1;
}

bool letters_to_bytes(const char *text, char *out, size_t *n)
{
    *n = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        unsigned c = *p++;
        if (c >= 128) {
            if (c < 0xC0 || c >= 0xE0 || (*p & 0xC0) != 0x80) return false;
            c = (c & 31) << 6 | (*p++ & 63);
        }
        int b = letter_to_byte(c);
        if (b < 0) return false;
        out[(*n)++] = (char)b;
    }
    return true;
}
