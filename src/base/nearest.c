/* The nearest known name to one that is misspelt.
 *
 * Damerau-Levenshtein distance (optimal string alignment), ignoring case and taking - for _. */
#include "config.h"

#include <string.h>

#include "wabun/base.h"

static int lower (char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c == '-' ? '_' : c; }
static int min (int a, int b) { return a < b ? a : b; }

int wb_edit_distance (const char *a, const char *b) {
    enum { MAX = 64 };
    int n = (int) strnlen (a, MAX), m = (int) strnlen (b, MAX);
    int rows[3][MAX + 1], *before = rows[0], *last = rows[1], *now = rows[2];
    for (int j = 0; j <= m; j++) before[j] = last[j] = j;
    for (int i = 1; i <= n; i++) {
        now[0] = i;
        for (int j = 1; j <= m; j++) {
            bool same = lower (a[i - 1]) == lower (b[j - 1]);
            now[j] = min (last[j - 1] + !same, min (last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && lower (a[i - 1]) == lower (b[j - 2]) && lower (a[i - 2]) == lower (b[j - 1]))
                now[j] = min (now[j], before[j - 2] + 1);
        }
        int *spare = before;
        before = last, last = now, now = spare;
    }
    return last[m];
}

const char *wb_nearest (const char *name, const char *const *names, int n) {
    const char *best = NULL;
    int nearest = 1 + (int) strlen (name) / 3;
    for (int i = 0; i < n; i++) {
        int far = wb_edit_distance (name, names[i]);
        if (far < nearest || (far == nearest && best == NULL)) nearest = far, best = names[i];
    }
    return best;
}
