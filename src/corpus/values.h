/* JSON objects that are not one a line. */
#ifndef WABUN_CORPUS_VALUES_H
#define WABUN_CORPUS_VALUES_H

#include "wabun/base.h"

/* Does s [n], the beginning of a file, look like a list of objects or an object over several lines?  named: the file is
 * called .json, so little is enough.  first: where the first object begins, n where there is none; NULL is allowed. */
bool wb_values_begin (const char *s, size_t n, bool named, size_t *first);
/* Is one of the keys of the object that s [n] begins with, as far as it is there, this one? */
bool wb_values_have_key (const char *s, size_t n, const char *key);

#endif
