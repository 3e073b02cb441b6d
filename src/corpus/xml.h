/* libxml2, quiet and safe to use from several threads. */
#ifndef WABUN_CORPUS_XML_H
#define WABUN_CORPUS_XML_H

/* Before anything else of libxml2. */
void wb_xml_init (void);

#endif
