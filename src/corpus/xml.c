/* libxml2 is set up once, whichever thread comes first, and prints nothing.
 *
 * Not done here: parsing (dump.c, html.c). */
#include "config.h"

#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <pthread.h>

#include "corpus/xml.h"

static void init (void) { xmlInitParser (); }

void wb_xml_init (void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once (&once, init);
}
