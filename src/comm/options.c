/* Names of the options of a configuration that belong to communication. */
#include "config.h"

#include "wabun/comm.h"

const char *const wb_wire_names[] = {"fp32", "bf16", NULL};
