/* What the properties of connections and cursors have in common, so that each of them
 * says only what is its own. */

#include "binding/attributes.h"

/* Gives the foreign object, borrowed; NULL: there is none. */
static PyObject *
find_foreign(PyObject *self, const struct attribute *attribute)
{
    return *(PyObject **)((char *)self + attribute->foreign);
}

PyObject *
attribute_get(PyObject *self, void *closure)
{
    const struct attribute *attribute = closure;
    PyObject *foreign;

    if (attribute->check != NULL && attribute->check(self) < 0) {
        return NULL;
    }
    foreign = find_foreign(self, attribute);
    if (foreign != NULL) {
        return PyObject_GetAttrString(foreign, attribute->name);
    }
    return attribute->get(self, NULL);
}

int
attribute_set(PyObject *self, PyObject *value, void *closure)
{
    const struct attribute *attribute = closure;
    PyObject *foreign;

    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "cannot delete attribute");
        return -1;
    }
    if (attribute->check != NULL && attribute->check(self) < 0) {
        return -1;
    }
    foreign = find_foreign(self, attribute);
    if (foreign != NULL) {
        return PyObject_SetAttrString(foreign, attribute->name, value);
    }
    return attribute->set(self, value, NULL);
}
