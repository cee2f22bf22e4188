/* What a loop's turns do with requests: their news are taken in, their tasks woken.
 *
 * GIL held. */

#ifndef CSQ_DELIVERY_H
#define CSQ_DELIVERY_H

#include "bridge/state.h"

/* Lets the interpreter's reactors serve requests. */
void delivery_init(struct bridge *bridge);

#endif
