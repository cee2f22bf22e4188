/* How the module's state is reached, and what needs nothing else of it. */

#include "binding/module.h"

struct module_state *
module_state_of_type(PyTypeObject *type)
{
    for (; type != NULL; type = type->tp_base) {
        PyObject *module = type->tp_flags & Py_TPFLAGS_HEAPTYPE ? PyType_GetModule(type) : NULL;

        if (module != NULL && PyModule_GetDef(module) == &module_def) {
            return PyModule_GetState(module);
        }
        PyErr_Clear();
    }
    PyErr_SetString(PyExc_TypeError, "not a type of csqlite");
    return NULL;
}

PyObject *
module_attribute(PyObject *object, const char *name)
{
    PyObject *interned = PyUnicode_InternFromString(name);
    PyObject *attribute = interned == NULL ? NULL : PyObject_GetAttr(object, interned);

    Py_XDECREF(interned);
    return attribute;
}

PyObject *
module_import(const char *module, const char *name)
{
    PyObject *imported = PyImport_ImportModule(module);
    PyObject *attribute;

    if (imported == NULL) {
        return NULL;
    }
    attribute = module_attribute(imported, name);
    Py_DECREF(imported);
    return attribute;
}

void
module_see_off(struct module_state *state, struct csq_executor *executor)
{
    struct csq_link *link = state->leaving.head.next;

    csq_list_append(&state->leaving, &executor->kept);
    while (link != &state->leaving.head) {
        struct csq_executor *other = csq_item(link, struct csq_executor, kept);

        link = link->next;
        if (other->verbs->join(other, 0)) {
            csq_link_remove(&other->kept);
            csq_executor_put(other);
        }
    }
}
