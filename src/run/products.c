/* The library of each product of a step, remembered in RUN/products.json.
 *
 * Not here: measuring (train/products.c). */
#include "config.h"

#include <string.h>

#include "run/run_priv.h"
#include "wabun/json.h"

static json_t *json_of (const wb_run_t *r, const wb_product_t *products) {
    json_t *all = json_array ();
    for (int i = 0; i < WB_PRODUCTS; i++) {
        const wb_product_t *p = &products[i];
        json_array_append_new (all, json_pack ("{s:s, s:I, s:I, s:I, s:s, s:f, s:f}", "product", p->name, "m",
                                               (json_int_t) p->shape.m, "n", (json_int_t) p->shape.n, "k",
                                               (json_int_t) p->shape.k, "library", wb_gemm_library_name (p->which),
                                               "blas_seconds", p->seconds[WB_GEMM_BLAS], "onednn_seconds",
                                               p->seconds[WB_GEMM_ONEDNN]));
    }
    return json_pack ("{s:s, s:i, s:i, s:o}", "cpu", wb_cpu_name (), "threads", r->threads, "ranks",
                      wb_comm_size (r->world), "products", all);
}

/* The libraries that the file gives for these products; false: it is not there, or of something else. */
static bool read_file (const wb_run_t *r, wb_product_t *products, const char *path) {
    json_t *root = wb_json_load_file (path, 0, NULL), *all = json_object_get (root, "products");
    const char *cpu = json_string_value (json_object_get (root, "cpu"));
    bool same = cpu != NULL && strcmp (cpu, wb_cpu_name ()) == 0 && json_array_size (all) == WB_PRODUCTS &&
                json_integer_value (json_object_get (root, "threads")) == r->threads &&
                json_integer_value (json_object_get (root, "ranks")) == wb_comm_size (r->world);
    for (int i = 0; same && i < WB_PRODUCTS; i++) {
        const json_t *o = json_array_get (all, (size_t) i);
        wb_product_t *p = &products[i];
        const char *library = json_string_value (json_object_get (o, "library"));
        same = library != NULL && json_integer_value (json_object_get (o, "m")) == p->shape.m &&
               json_integer_value (json_object_get (o, "n")) == p->shape.n &&
               json_integer_value (json_object_get (o, "k")) == p->shape.k;
        if (!same) break;
        p->which = strcmp (library, wb_gemm_library_name (WB_GEMM_BLAS)) == 0 ? WB_GEMM_BLAS : WB_GEMM_ONEDNN;
        p->seconds[WB_GEMM_BLAS] = json_real_value (json_object_get (o, "blas_seconds"));
        p->seconds[WB_GEMM_ONEDNN] = json_real_value (json_object_get (o, "onednn_seconds"));
    }
    if (root == NULL) wb_error_clear (); /* measured anew, whatever it was */
    json_decref (root);
    return same;
}

static void write_file (const wb_run_t *r, const wb_product_t *products, const char *path) {
    json_t *root = json_of (r, products);
    char *text = json_dumps (root, JSON_INDENT (1) | JSON_REAL_PRECISION (4));
    if (text == NULL || wb_file_write (path, text, strlen (text)) != WB_OK) {
        wb_warn ("which library multiplies will be measured again: %s", wb_error_get ()->text);
        wb_error_clear ();
    }
    wb_free_foreign (text);
    json_decref (root);
}

static void describe (char text[WB_ERROR_TEXT], const wb_product_t *products, bool remembered) {
    double least = 0, most = 0;
    size_t n = 0;
    int blas = 0;
    text[0] = 0;
    for (int i = 0; i < WB_PRODUCTS; i++) {
        const wb_product_t *p = &products[i];
        const double ratio = p->seconds[0] > 0 && p->seconds[1] > 0 ? p->seconds[0] / p->seconds[1] : 0;
        if (p->which == WB_GEMM_BLAS) {
            n += (size_t) snprintf (text + n, WB_ERROR_TEXT - n, "%s%s", blas++ == 0 ? ", BLAS for " : ", ", p->name);
            if (n >= WB_ERROR_TEXT) n = WB_ERROR_TEXT - 1;
        } else if (ratio > 0) {
            least = least <= 0 || ratio < least ? ratio : least;
            most = ratio > most ? ratio : most;
        }
    }
    if (most > 0)
        snprintf (text + n, WB_ERROR_TEXT - n, "; %.2f to %.2f times as fast as BLAS%s, %s", least, most,
                  blas > 0 ? " for the others" : "", remembered ? "as in products.json" : "measured");
}

void wb_run_choose_products (wb_run_t *r, char text[WB_ERROR_TEXT]) {
    wb_trainer_t *t = r->trainer;
    wb_product_t products[WB_PRODUCTS];
    const bool first = wb_comm_rank (r->world) == 0;
    char *path = first ? wb_format ("%s/products.json", r->config->run.dir) : NULL;
    int32_t which[WB_PRODUCTS + 1] = {0}; /* the last: is there a file? */
    text[0] = 0;
    wb_trainer_products (products, t);
    if (path != NULL && t->o.measure_products && wb_gemm_is_free ()) which[WB_PRODUCTS] = read_file (r, products, path);
    for (int i = 0; i < WB_PRODUCTS; i++) which[i] = (int32_t) products[i].which;
    wb_comm_bcast (r->world, which, sizeof which, 0);
    if (which[WB_PRODUCTS]) {
        wb_gemm_choose_none ();
        for (int i = 0; i < WB_PRODUCTS; i++)
            if (products[i].shape.m > 0) wb_gemm_choose (&products[i].shape, (wb_gemm_library) which[i]);
        describe (text, products, true);
    } else if (wb_trainer_choose_products (t, products)) {
        if (path != NULL) write_file (r, products, path);
        describe (text, products, false);
    }
    wb_free (path);
}
