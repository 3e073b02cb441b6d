/* What is there already: a command makes its own output again, and no other's.
 *
 * A command that takes hours notes beside what it makes from what, and how.  The same command replaces it: texts have
 * changed, or it was interrupted.  Any other is refused before it has read anything, unless it is told to replace it.
 *
 * Not done here: whether the texts are still the same. */
#include "config.h"

#include <jansson.h>
#include <string.h>

#include "corpus/charset.h"
#include "corpus/made.h"
#include "wabun/json.h"

enum { LONGEST = 1000 }; /* bytes of a command that are kept as they are */

wb_status wb_made_put (wb_buf_t *command, const char *option, const char *value) {
    char quoted[4096];
    if (command->len > 0) WB_TRY (wb_buf_put (command, " ", 1));
    WB_TRY (wb_buf_put (command, option, strlen (option)));
    if (value == NULL) return WB_OK;
    if (option[0] != 0) WB_TRY (wb_buf_put (command, " ", 1));
    const char *word = wb_shell_quote (quoted, sizeof quoted, value);
    return wb_charset_repair (command, word, strlen (word));
}

wb_status wb_made_end (wb_buf_t *command) {
    char rest[64];
    if (command->len <= LONGEST) return wb_buf_put (command, "", 0);
    const int n = snprintf (rest, sizeof rest, " ... (%zu bytes, %016llx)", command->len,
                            (unsigned long long) wb_hash64 (command->data, command->len));
    command->len = LONGEST;
    while (command->len > 0 && ((unsigned char) command->data[command->len] & 0xc0) == 0x80) command->len--;
    return wb_buf_put (command, rest, (size_t) n);
}

wb_status wb_made_check (const char *name, const char *record, const char *command) {
    json_t *j = wb_file_exists (record) ? wb_json_load_file (record, 0, NULL) : NULL;
    WB_TRY (wb_json_status (j));
    const char *before = json_string_value (json_object_get (j, WB_MADE_KEY));
    wb_status status = WB_OK;
    if (command == NULL)
        status = WB_FAIL (WB_EUSAGE,
                          "%s is there already, and the standard input may be another text than before: name another "
                          "-o, or replace it by --force",
                          name);
    else if (before == NULL)
        status = WB_FAIL (WB_EUSAGE,
                          "%s is there already, and nothing tells that this command made it: name another -o, or "
                          "replace it by --force",
                          name);
    else if (strcmp (before, command) != 0)
        status = WB_FAIL (WB_EUSAGE,
                          "%s is there already, made with other options or of other inputs (%s): name another -o, or "
                          "replace it by --force",
                          name, before);
    json_decref (j);
    return status;
}

wb_status wb_made_json (char **out, const char *command) {
    const int64_t before = wb_json_lacks ();
    json_t *j = json_string (command);
    char *dump = j != NULL ? json_dumps (j, JSON_ENCODE_ANY) : NULL;
    *out = dump != NULL ? wb_strdup (dump) : NULL;
    const wb_status status = dump != NULL && *out == NULL ? WB_NOMEM ("the command") : WB_OK;
    wb_free_foreign (dump);
    json_decref (j);
    return status == WB_OK ? wb_json_since (before, "the command") : status;
}
