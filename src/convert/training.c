/* What is known about the training of a model: state.json of its checkpoint, and the run's metrics beside it.
 *
 * A model of others has neither, and there is nothing to say then. */
#include "config.h"

#include <string.h>

#include "convert/convert_priv.h"
#include "wabun/json.h"

static wb_status read_json (json_t **out, const char *path) {
    char *text;
    size_t n;
    json_error_t why;
    WB_TRY (wb_file_read (&text, &n, path));
    *out = wb_json_load (text, n, 0, &why);
    wb_free (text);
    return *out != NULL ? WB_OK : WB_FAIL (WB_EDATA, "%s:%d: not JSON: %.100s", path, why.line, why.text);
}

/* The last validation up to this step, of the run in which the checkpoint lies. */
static wb_status validation (json_t *facts, const char *path, int64_t step) {
    wb_lines_t lines;
    const char *text;
    size_t n;
    json_t *last = NULL;
    json_error_t why;
    WB_TRY (wb_lines_open (&lines, path));
    wb_status status;
    while ((status = wb_lines_next (&lines, &text, &n, true)) == WB_OK && text != NULL) {
        json_t *line = wb_json_load (text, n, 0, &why);
        if ((status = wb_json_status (line)) != WB_OK) break;
        if (json_object_get (line, "val_loss") != NULL && json_integer_value (json_object_get (line, "step")) <= step) {
            json_decref (last);
            last = json_incref (line);
        }
        json_decref (line);
    }
    wb_lines_close (&lines);
    static const char *const keys[] = {"val_loss", "val_bpb"};
    for (int i = 0; i < 2 && status == WB_OK; i++) {
        json_t *value = json_object_get (last, keys[i]);
        if (json_is_number (value)) status = wb_fact (facts, keys[i], json_incref (value));
    }
    json_decref (last);
    return status;
}

static wb_status from_state (json_t *facts, const json_t *state) {
    static const char *const keys[] = {"step", "tokens", "global_batch", "sequence_length", "optimizer", "seed"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *value = json_object_get (state, keys[i]);
        if (value != NULL) WB_TRY (wb_fact (facts, keys[i], json_incref (value)));
    }
    json_t *data = json_object_get (state, "data");
    return json_is_array (data) ? wb_fact (facts, "data", json_incref (data)) : WB_OK;
}

wb_status wb_training_facts (json_t *facts, const char *dir) {
    char *path = wb_format ("%s/state.json", dir), *metrics = wb_format ("%s/../metrics.jsonl", dir);
    wb_status status = path != NULL && metrics != NULL ? WB_OK : WB_NOMEM ("facts");
    if (status == WB_OK && wb_file_exists (path)) {
        json_t *state = NULL;
        status = read_json (&state, path);
        if (status == WB_OK) status = from_state (facts, state);
        const int64_t step = json_integer_value (json_object_get (state, "step"));
        if (status == WB_OK && wb_file_exists (metrics)) status = validation (facts, metrics, step);
        json_decref (state);
    }
    wb_free (path);
    wb_free (metrics);
    return status;
}
