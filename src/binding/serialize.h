/* Connection.serialize() and deserialize(). Loop thread, GIL held. */

#ifndef CSQ_SERIALIZE_METHODS_H
#define CSQ_SERIALIZE_METHODS_H

#include "binding/connection.h"

extern PyMethodDef serialize_methods[];

#endif
