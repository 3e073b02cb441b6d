/* Vocabularies: the sample of a corpus (bounds, seeds, order, long documents), scripts, counts, the choice of words. */
#include "config.h"

#include <string.h>

#include "t.h"
#include "vocab/vocab_priv.h"

/* ---- the sample -------------------------------------------------------------------------------------------------- */

/* Lines of JSON, numbered, of `bytes` or so each. */
static void write_lines (const char *path, int from, int n, int bytes, const char *genre) {
    wb_buf_t b = {0};
    char line[64];
    for (int i = from; i < from + n; i++) {
        T_STATUS (
            wb_buf_put (&b, line, (size_t) snprintf (line, sizeof line, "{\"genre\": \"%s\", \"text\": \"", genre)),
            WB_OK);
        const int k = snprintf (line, sizeof line, "第%d話の本文。", i);
        for (int at = 0; at < bytes; at += k) T_STATUS (wb_buf_put (&b, line, (size_t) k), WB_OK);
        T_STATUS (wb_buf_put (&b, "\"}\n", 3), WB_OK);
    }
    T_STATUS (wb_file_write (path, b.data, b.len), WB_OK);
    wb_buf_fini (&b);
}

static void read_sample (wb_sample_t *s, const char *a, const char *b, uint64_t seed, int64_t bytes) {
    char *paths[] = {(char *) a, (char *) b};
    const wb_sample_options_t o = {.inputs = paths, .ninputs = b != NULL ? 2 : 1, .seed = seed, .bytes = bytes};
    T_STATUS (wb_sample_read (s, &o), WB_OK);
}

static bool same (const wb_sample_t *a, const wb_sample_t *b) {
    if (a->len != b->len) return false;
    for (int64_t i = 0; i < a->len; i++)
        if (a->texts[i].bytes != b->texts[i].bytes ||
            memcmp (a->texts[i].text, b->texts[i].text, a->texts[i].bytes) != 0)
            return false;
    return true;
}

static void check_sample (void) {
    wb_sample_t all = {0}, part = {0}, turned = {0}, other = {0};
    const char *a = t_tmp ("a.jsonl"), *b = t_tmp ("b.jsonl");
    write_lines (a, 0, 200, 1000, "one");
    write_lines (b, 200, 200, 1000, "two");
    read_sample (&all, a, b, 1, 1 << 20);
    T_OK (all.len == 400 && all.genres == 2 && all.kept[0] == all.read[0], "%lld texts of %d genres",
          (long long) all.len, all.genres);
    read_sample (&part, a, b, 1, 100000);
    T_OK (part.len > 80 && part.bytes <= 100000 && part.bytes > 90000, "%lld texts, %lld bytes", (long long) part.len,
          (long long) part.bytes);
    read_sample (&turned, b, a, 1, 100000);
    T_OK (same (&part, &turned), "the order of the inputs does not matter");
    read_sample (&other, a, b, 2, 100000);
    T_OK (!same (&part, &other), "another seed, another sample");
    for (int64_t i = 1; i < part.len; i++)
        if (!T_OK (part.texts[i - 1].key <= part.texts[i].key, "sorted by key at %lld", (long long) i)) break;
    wb_sample_fini (&all);
    wb_sample_fini (&part);
    wb_sample_fini (&turned);
    wb_sample_fini (&other);
}

/* One document of 600 KB, for a sample of 200 KB. */
static void check_long (void) {
    wb_sample_t s = {0};
    const char *path = t_tmp ("long.jsonl");
    write_lines (path, 7, 1, 600000, "book");
    read_sample (&s, path, NULL, 1, 200000);
    T_OK (s.left_out == 0 && s.len >= 1 && s.bytes > 60000 && s.bytes <= 200000, "%lld left out, %lld texts, %lld B",
          (long long) s.left_out, (long long) s.len, (long long) s.bytes);
    for (int64_t i = 0; i < s.len; i++) {
        const unsigned char *t = (const unsigned char *) s.texts[i].text;
        T_OK ((t[0] & 0xc0) != 0x80, "a piece begins within a character");
    }
    wb_sample_fini (&s);
}

/* ---- scripts, counts, choice ------------------------------------------------------------------------------------- */

static void check_scripts (void) {
    T_OK (wb_script_of (0x3042) == WB_SCRIPT_HIRAGANA && wb_script_of (0x30a2) == WB_SCRIPT_KATAKANA &&
              wb_script_of (0x30fc) == WB_SCRIPT_KATAKANA && wb_script_of (0x4e00) == WB_SCRIPT_KANJI &&
              wb_script_of (0x3005) == WB_SCRIPT_KANJI && wb_script_of ('a') == WB_SCRIPT_NONE &&
              wb_script_of (0x30fb) == WB_SCRIPT_NONE && wb_script_of (0x3002) == WB_SCRIPT_NONE,
          "scripts");
}

static void check_choice (void) {
    char *paths[] = {(char *) t_tmp ("words.txt")};
    wb_sample_t s = {0};
    wb_counts_t c = {0};
    wb_choice_t got = {0};
    static const char text[] = "日本は日本、日本の山と山の道。道は山の日本へ。ヤマ、ヤマ。\n";
    T_STATUS (wb_file_write (paths[0], text, strlen (text)), WB_OK);
    read_sample (&s, paths[0], NULL, 1, 1 << 20);
    s.times[0] = 16;
    T_STATUS (wb_counts_make (&c, &s, 1 << 20), WB_OK);
    T_OK (c.one[0x65e5] == 4 * 16 && c.one[0x5c71] == 3 * 16 && c.one[0x30e4] == 2 * 16, "characters: %lld of 日",
          (long long) c.one[0x65e5]);
    T_STATUS (wb_choose (&got, &c, NULL, 8), WB_OK);
    T_OK (got.len > 0 && got.len <= 8, "%lld entries", (long long) got.len);
    bool nihon = false, mixed = false;
    for (int64_t i = 0; i < got.len; i++) {
        const wb_entry_t *e = &got.data[i];
        nihon = nihon || (e->a == 0x65e5 && e->b == 0x672c);
        mixed = mixed || (e->b != 0 && wb_script_of (e->a) != wb_script_of (e->b));
    }
    T_OK (nihon && !mixed, "the pair that is most frequent is there, and none lies across scripts");
    wb_choice_fini (&got);
    wb_counts_fini (&c);
    wb_sample_fini (&s);
}

int main (void) {
    wb_log_init (WB_LOG_QUIET, true);
    check_sample ();
    check_long ();
    check_scripts ();
    check_choice ();
    return T_DONE ();
}
