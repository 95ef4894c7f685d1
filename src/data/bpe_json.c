/* bpe_json.c - our own tokenizers as the text of a tokenizer.json, in the form
 * of the Hugging Face library "tokenizers", version "1.0".
 *
 * The ids: byte b is b, the merge of rank r is 256 + r, the end of a document
 * comes last. The byte tokenizer is the same without merges and without a
 * pattern. Merges are written as "a b", which old readers take as well. */
#include <string.h>
#include "data/source.h"
#include "data/tokenizer.h"

#define BYTE_LEVEL                                                                    \
    "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, " \
    "\"use_regex\": %s}"

static void add_spelling(str *out, const str *bytes, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        char c = bytes->p[i], letter[3];
        byte_to_letter((unsigned char)c, letter);
        if (c == '"' || c == '\\') str_addc(out, '\\');
        str_add(out, letter);
    }
}

static void add_head(str *out, size_t end, const char *split)
{
    str_addf(out,
             "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
             "  \"added_tokens\": [\n    {\"id\": %zu, \"content\": \"" END_MARK "\", "
             "\"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
             "\"normalized\": false, \"special\": true}\n  ],\n  \"normalizer\": null,\n",
             end);
    str_addf(out, "  \"pre_tokenizer\": " BYTE_LEVEL ",\n  \"post_processor\": null,\n",
             split);
    str_addf(out, "  \"decoder\": " BYTE_LEVEL ",\n", split);
    str_add(out, "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n"
                 "    \"unk_token\": null,\n    \"continuing_subword_prefix\": null,\n"
                 "    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n"
                 "    \"byte_fallback\": false,\n    \"vocab\": {");
}

/* Token i is bytes [start[i], start[i + 1]) of `all`. */
static rc spell_tokens(const int32_t (*pair)[2], size_t n_merges, str *all, size_t *start)
{
    for (unsigned b = 0; b < 256; b++) {
        start[b] = b;
        str_addc(all, (char)b);
    }
    start[256] = 256;
    for (size_t r = 0; r < n_merges; r++) {
        for (int side = 0; side < 2; side++) {
            size_t from = start[pair[r][side]], n = start[pair[r][side] + 1] - from;
            for (size_t i = 0; i < n; i++) str_addc(all, all->p[from + i]);
        }
        start[256 + r + 1] = all->n;
        TRY(str_done(all));
    }
    return str_done(all);
}

rc tokenizer_write(const int32_t (*pair)[2], size_t n_merges, bool split, str *out)
{
    str all = {0};
    size_t end = 256 + n_merges;
    size_t *start = mem_take(mem_mul(end + 1, sizeof *start));
    rc r = start ? spell_tokens(pair, n_merges, &all, start) : E_MEMORY;
    if (r != OK) goto done;
    add_head(out, end, split ? "true" : "false");
    for (size_t i = 0; i < end; i++) {
        str_add(out, i ? ",\n      \"" : "\n      \"");
        add_spelling(out, &all, start[i], start[i + 1]);
        str_addf(out, "\": %zu", i);
    }
    str_addf(out, ",\n      \"" END_MARK "\": %zu\n    },\n    \"merges\": [", end);
    for (size_t k = 0; k < n_merges; k++) {
        size_t a = (size_t)pair[k][0], b = (size_t)pair[k][1];
        str_add(out, k ? ",\n      \"" : "\n      \"");
        add_spelling(out, &all, start[a], start[a + 1]);
        str_addc(out, ' ');
        add_spelling(out, &all, start[b], start[b + 1]);
        str_addc(out, '"');
    }
    str_add(out, n_merges ? "\n    ]\n  }\n}\n" : "]\n  }\n}\n");
    r = str_done(out);
done:
    mem_drop(start);
    str_free(&all);
    return r;
}
