/* One reader: a file that changes, or that one node does not see, must not give two configurations.  What is sent is
 * the resolved text, which reads back as the same configuration on every rank. */
#include "config.h"

#include <string.h>

#include "config/config_priv.h"

static wb_status share (wb_config_t **c, char **text, wb_comm_t *world, const char *path, const char *const *sets,
                        int nsets) {
    const bool root = wb_comm_rank (world) == 0;
    wb_status status = WB_OK;
    int64_t bytes = 0;
    if (root) {
        status = wb_config_new (c, path, sets, nsets);
        if (status == WB_OK && (*text = wb_config_text (*c)) == NULL) status = WB_NOMEM ("the configuration");
        if (status == WB_OK) bytes = (int64_t) strlen (*text);
    }
    WB_TRY (wb_agree (world, status));
    wb_comm_bcast (world, &bytes, sizeof bytes, 0);
    if (!root && (*text = wb_calloc (1, (size_t) bytes + 1)) == NULL) status = WB_NOMEM ("the configuration");
    WB_TRY (wb_agree (world, status));
    wb_comm_bcast (world, *text, (size_t) bytes, 0);
    if (!root) status = wb_config_from_text (c, *text, (size_t) bytes, path, NULL, 0);
    return wb_agree (world, status);
}

wb_status wb_config_share (wb_config_t **out, wb_comm_t *world, const char *path, const char *const *sets, int nsets) {
    wb_config_t *c = NULL;
    char *text = NULL;
    wb_status status = share (&c, &text, world, path, sets, nsets);
    wb_free (text);
    if (status != WB_OK) wb_config_destroy (c), c = NULL;
    *out = c;
    return status;
}
