/* Looking at statements without running them, for csqlite/statement.py. Methods run on
 * the loop thread and give requests. */

#ifndef CSQ_STATEMENT_H
#define CSQ_STATEMENT_H

#include "binding/connection.h"

/* The connection's methods that stand here. */
extern PyMethodDef statement_methods[];

#endif
