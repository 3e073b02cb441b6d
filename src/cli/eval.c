/* wabun eval: how well models know text. */
#include "config.h"

#include "cli/cli.h"
#include "wabun/infer.h"

static wb_status run (int argc, char **argv) {
    wb_eval_t e = {0};
    wb_comm_t *world;
    WB_TRY (wb_world_new (&world));
    wb_status status = wb_eval_options (&e, argc, argv);
    status = wb_agree (world, status);
    if (status == WB_OK) status = wb_eval (world, &e);
    wb_world_destroy (world);
    return status;
}

const wb_cmd_t wb_cmd_eval = {
    .name = "eval",
    .usage = "MODEL... --text FILE...",
    .line = "measure models on held-out text",
    .run = run,
    .flags = WB_CMD_COMPUTES | WB_CMD_RANKS,
    .text = WB_EVAL_HELP,
};
