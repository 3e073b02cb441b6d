/* The speed of a rank, from what `wabun bench step --json` has printed. */
#include "config.h"

#include <jansson.h>
#include <string.h>

#include "plan/plan_priv.h"
#include "wabun/json.h"

static wb_status read_fields (wb_plan_bench_t *out, json_t *root, const char *path) {
    const char *bench = json_string_value (json_object_get (root, "bench"));
    const char *precision = json_string_value (json_object_get (root, "precision")); /* older ones: fp32 */
    const double ranks = json_number_value (json_object_get (root, "ranks"));
    const double gflops = json_number_value (json_object_get (root, "gflops"));
    if (bench == NULL || strcmp (bench, "step") != 0)
        return WB_FAIL (WB_EDATA, "%s: not the output of wabun bench step --json", path);
    if (!(gflops > 0) || !(ranks >= 1)) return WB_FAIL (WB_EDATA, "%s: \"gflops\" or \"ranks\" is missing", path);
    out->gflops = gflops / ranks;
    out->mfu = json_number_value (json_object_get (root, "mfu"));
    out->bf16 = precision != NULL && strcmp (precision, "bf16") == 0;
    out->threads = (int) json_integer_value (json_object_get (root, "threads"));
    return WB_OK;
}

wb_status wb_plan_bench_read (wb_plan_bench_t *out, const char *path) {
    char *data;
    size_t n;
    json_error_t at;
    WB_TRY (wb_file_read (&data, &n, path));
    json_t *root = wb_json_load (data, n, 0, &at);
    wb_free (data);
    if (root == NULL) return WB_FAIL (WB_EDATA, "%s:%d: not JSON: %s", path, at.line, at.text);
    const wb_status status = read_fields (out, root, path);
    json_decref (root);
    return status;
}
