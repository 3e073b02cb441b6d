/* Names of the values of an enum: one list beside the enum serves to parse and to print. */
#include "config.h"

#include <string.h>

#include "wabun/base.h"

int wb_choice (const char *const *names, const char *name) {
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp (names[i], name) == 0) return i;
    return -1;
}

const char *wb_choice_list (char *buf, size_t size, const char *const *names) {
    size_t n = 0;
    buf[0] = 0;
    for (int i = 0; names[i] != NULL && n < size; i++)
        n += (size_t) snprintf (buf + n, size - n, "%s%s", i > 0 ? "|" : "", names[i]);
    return buf;
}
