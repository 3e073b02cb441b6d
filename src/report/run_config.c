/* The configuration of a run as a list of keys with their values, so that runs can be compared. */
#include "config.h"

#include <libconfig.h>
#include <string.h>

#include "report/page.h"

static wb_status add (wb_page_run_t *r, const char *key, char *value) {
    if (value == NULL || !WB_GROW (r->keys, r->keys_cap, r->nkeys + 1)) {
        wb_free (value);
        return WB_NOMEM ("config.cfg");
    }
    wb_page_key_t *k = &r->keys[r->nkeys++];
    *k = (wb_page_key_t){wb_strdup (key), value};
    return k->key != NULL ? WB_OK : WB_NOMEM ("config.cfg");
}

static char *text_of (const config_setting_t *s) {
    switch (config_setting_type (s)) {
    case CONFIG_TYPE_INT: return wb_format ("%d", config_setting_get_int (s));
    case CONFIG_TYPE_INT64: return wb_format ("%lld", config_setting_get_int64 (s));
    case CONFIG_TYPE_FLOAT: return wb_format ("%.15g", config_setting_get_float (s));
    case CONFIG_TYPE_BOOL: return wb_strdup (config_setting_get_bool (s) ? "true" : "false");
    case CONFIG_TYPE_STRING: return wb_strdup (config_setting_get_string (s));
    default: return wb_strdup ("");
    }
}

static wb_status walk (wb_page_run_t *r, const config_setting_t *s, const char *path) {
    char below[256];
    if (!config_setting_is_aggregate (s)) return add (r, path, text_of (s));
    for (int i = 0; i < config_setting_length (s); i++) {
        const config_setting_t *x = config_setting_get_elem (s, (unsigned) i);
        const char *name = config_setting_name (x);
        if (name != NULL)
            snprintf (below, sizeof below, "%s%s%s", path, path[0] != 0 ? "." : "", name);
        else
            snprintf (below, sizeof below, "%s[%d]", path, i);
        WB_TRY (walk (r, x, below));
    }
    return WB_OK;
}

wb_status wb_page_run_keys (wb_page_run_t *r) {
    config_t c;
    wb_status status = WB_OK;
    config_init (&c);
    if (config_read_string (&c, r->config) == CONFIG_TRUE) status = walk (r, config_root_setting (&c), "");
    config_destroy (&c);
    return status;
}

const char *wb_page_run_value (const wb_page_run_t *r, const char *key) {
    for (int64_t i = 0; i < r->nkeys; i++)
        if (strcmp (r->keys[i].key, key) == 0) return r->keys[i].value;
    return NULL;
}
