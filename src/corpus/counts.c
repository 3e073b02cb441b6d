/* Counts of a part, of a source and of a corpus: JSON that is merged.
 *
 * Numbers add up and lists of samples keep their first ones, so merging the parts in order gives the same, whoever made
 * them.  Adding never fails by itself: what lacks memory is missing, and wb_counts_merge() of it shows. */
#include "config.h"

#include <string.h>

#include "corpus/build.h"
#include "tokenizer/utf8.h"

json_t *wb_counts_new (void) { return json_object (); }

/* The object `group` of counts, made where there is none. */
static json_t *group_of (json_t *counts, const char *group) {
    json_t *g = json_object_get (counts, group);
    if (g != NULL || counts == NULL) return g;
    return json_object_set_new (counts, group, json_object ()) == 0 ? json_object_get (counts, group) : NULL;
}

void wb_counts_add (json_t *counts, const char *group, const char *key, int64_t n) {
    json_t *to = group != NULL ? group_of (counts, group) : counts;
    json_t *old = json_object_get (to, key);
    if (old != NULL)
        json_integer_set (old, json_integer_value (old) + n);
    else
        json_object_set_new (to, key, json_integer (n));
}

void wb_counts_sample (json_t *counts, const char *group, const char *key, json_t *sample) {
    json_t *g = group_of (counts, group), *list = json_object_get (g, key);
    if (list == NULL && json_object_set_new (g, key, json_array ()) == 0) list = json_object_get (g, key);
    if (list == NULL || json_array_size (list) >= WB_SAMPLES)
        json_decref (sample);
    else
        json_array_append_new (list, sample);
}

void wb_counts_length (json_t *counts, const char *key, double chars) {
    json_t *g = group_of (counts, "lengths"), *list = json_object_get (g, key);
    if (list == NULL && json_object_set_new (g, key, json_array ()) == 0) {
        list = json_object_get (g, key);
        for (int i = 0; i < WB_LENGTHS; i++) json_array_append_new (list, json_integer (0));
    }
    int bin = 0;
    while (bin < WB_LENGTHS - 1 && chars >= (double) (INT64_C (2) << bin)) bin++;
    json_t *n = json_array_get (list, (size_t) bin);
    json_integer_set (n, json_integer_value (n) + 1);
}

void wb_counts_merge (json_t *into, const json_t *from) {
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *) (uintptr_t) from, key, value) {
        json_t *old = json_object_get (into, key);
        if (old == NULL) {
            json_object_set_new (into, key, json_deep_copy (value));
        } else if (json_is_integer (value)) {
            json_integer_set (old, json_integer_value (old) + json_integer_value (value));
        } else if (json_is_object (value)) {
            wb_counts_merge (old, value);
        } else if (json_is_array (value)) {
            for (size_t i = 0; i < json_array_size (value); i++) {
                json_t *x = json_array_get (value, i), *y = json_array_get (old, i);
                if (json_is_integer (x))
                    json_integer_set (y, json_integer_value (y) + json_integer_value (x));
                else if (json_array_size (old) < WB_SAMPLES)
                    json_array_append (old, x);
            }
        }
    }
}

/* The first characters of a text, as well-formed as it was. */
static size_t head (const char *s, size_t n, size_t most) {
    size_t end = n < most ? n : most;
    while (end > 0 && end < n && ((unsigned char) s[end] & 0xc0) == 0x80) end--;
    return end;
}

json_t *wb_counts_text (const char *id, size_t nid, const char *text, size_t n) {
    json_t *o = json_object ();
    size_t at;
    const size_t bytes = head (text, n, 360), id_bytes = head (id, nid, 250);
    json_object_set_new (o, "id", wb_utf8_valid (id, id_bytes, &at) ? json_stringn (id, id_bytes) : json_string ("?"));
    json_object_set_new (o, "text", wb_utf8_valid (text, bytes, &at) ? json_stringn (text, bytes) : json_string ("?"));
    return o;
}
