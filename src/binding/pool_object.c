/* What fetches rows has a quick way (pool_call.h); everything else is Python's. */

#include "binding/pool_object.h"

#include <structmember.h>

#include "binding/pool_call.h"

#define POOL_METHOD(kind, function)                                                      \
    static PyObject *function(PoolObject *self, PyObject *const *args, Py_ssize_t nargs, \
                              PyObject *kwnames)                                         \
    {                                                                                    \
        return pool_call_make(self, kind, args, nargs, kwnames);                         \
    }

POOL_METHOD(FETCH_ALL, pool_fetch_all)
POOL_METHOD(FETCH_ONE, pool_fetch_one)
POOL_METHOD(FETCH_OPTIONAL, pool_fetch_optional)
POOL_METHOD(FETCH_SCALAR, pool_fetch_scalar)

PyDoc_STRVAR(all_doc,
             "fetch_all($self, sql, parameters=None, *, deadline=None)\n--\n\n"
             "Execute a statement where it belongs, and return all its rows, a list.\n\n"
             "Arguments and exceptions as of Connection.fetch_all(). Raises ProgrammingError "
             "for what\nbelongs to one connection, as execute().");
PyDoc_STRVAR(one_doc,
             "fetch_one($self, sql, parameters=None, *, deadline=None)\n--\n\n"
             "Execute a statement where it belongs, and return its row, which must be the "
             "only one.\n\nAs Connection.fetch_one(); see fetch_all().");
PyDoc_STRVAR(optional_doc, "fetch_optional($self, sql, parameters=None, *, deadline=None)\n--\n\n"
                           "Execute a statement where it belongs, and return its row, None for "
                           "none.\n\nAs Connection.fetch_optional(); see fetch_all().");
PyDoc_STRVAR(scalar_doc,
             "fetch_scalar($self, sql, parameters=None, *, deadline=None)\n--\n\n"
             "Execute a statement where it belongs, and return the first value of its "
             "first row.\n\nAs Connection.fetch_scalar(); see fetch_all().");
PyDoc_STRVAR(fetchall_doc,
             "execute_fetchall($self, sql, parameters=None, *, deadline=None)\n--\n\n"
             "The same as fetch_all().");

static PyMethodDef pool_methods[] = {
    METHOD_ENTRY("fetch_all", pool_fetch_all, all_doc),
    METHOD_ENTRY("fetch_one", pool_fetch_one, one_doc),
    METHOD_ENTRY("fetch_optional", pool_fetch_optional, optional_doc),
    METHOD_ENTRY("fetch_scalar", pool_fetch_scalar, scalar_doc),
    METHOD_ENTRY("execute_fetchall", pool_fetch_all, fetchall_doc),
    {NULL, NULL, 0, NULL},
};

/* -- the type of pools --------------------------------------------------------------------- */

static PyObject *
pool_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct module_state *state = module_state_of_type(type);
    PoolObject *self = state == NULL ? NULL : (PoolObject *)type->tp_alloc(type, 0);

    (void)args;
    (void)kwargs;
    if (self == NULL) {
        return NULL;
    }
    self->state = state;
    self->routes = PyDict_New();
    self->within = PySet_New(NULL);
    if (self->routes == NULL || self->within == NULL) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static int
pool_traverse(PoolObject *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->loop);
    Py_VISIT(self->routes);
    Py_VISIT(self->within);
    return 0;
}

/* The dict and the set stay, emptied: a call that is under way may still use them. */
static int
pool_clear(PoolObject *self)
{
    Py_CLEAR(self->loop);
    if (self->routes != NULL) {
        PyDict_Clear(self->routes);
    }
    if (self->within != NULL && PySet_Clear(self->within) < 0) {
        PyErr_Clear();
    }
    return 0;
}

static void
pool_dealloc(PoolObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    Py_XDECREF(self->loop);
    Py_XDECREF(self->routes);
    Py_XDECREF(self->within);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef pool_members[] = {
    {"_loop", T_OBJECT, offsetof(PoolObject, loop), 0, "The loop that has opened it, or None."},
    {"_routes", T_OBJECT, offsetof(PoolObject, routes), READONLY,
     "The text of a statement -> the shelf where it belongs."},
    {"_within", T_OBJECT, offsetof(PoolObject, within), READONLY,
     "Tasks that hold the writer, and must use what they were given."},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(pool_doc, "Pool()\n--\n\nThe base of csqlite.pool.Pool.");

static PyType_Slot pool_slots[] = {
    {Py_tp_doc, (void *)pool_doc},   {Py_tp_new, pool_new},
    {Py_tp_traverse, pool_traverse}, {Py_tp_clear, pool_clear},
    {Py_tp_dealloc, pool_dealloc},   {Py_tp_methods, pool_methods},
    {Py_tp_members, pool_members},   {0, NULL},
};

static PyType_Spec pool_spec = {
    .name = "csqlite._csqlite.Pool",
    .basicsize = sizeof(PoolObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = pool_slots,
};

int
pool_object_init_type(struct module_state *state, PyObject *module)
{
    state->pool_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &pool_spec, NULL);
    if (state->pool_type == NULL) {
        return -1;
    }
    return PyModule_AddObject(module, "Pool", Py_NewRef((PyObject *)state->pool_type));
}
