/* ranks: 1 2 3 4 6 8
 * timeout: 3000 - all that test_layouts.c can think of, on more ranks; not part of make check: make bigcheck */
#define BIG 1
#include "test_layouts.c"
