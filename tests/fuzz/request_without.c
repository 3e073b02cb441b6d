/* In place of the harness of requests, where wabun was built without libmicrohttpd. */
#include "config.h"

#include "fuzz.h"

static void run (const uint8_t *data, size_t n) { (void) data, (void) n; }

const fuzz_harness_t fuzz_request = {"request", NULL, run, NULL};
