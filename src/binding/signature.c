/* Methods that look like functions of Python. One is a descriptor as CPython's for methods of C
 * is, with the same flag, so that `object.method(…)` calls it without binding it first. */

#include "binding/signature.h"

#include <structmember.h>

/* What a method gives. */
enum signature_kind {
    GIVES_COROUTINE, /* what can only be awaited: aiosqlite's are coroutine functions */
    GIVES_RESULT,    /* what `async with` takes, too: functions that are wrapped around one */
    GIVES_OTHER,
    KINDS,
};

/* The C function of a method with METH_FASTCALL | METH_KEYWORDS. */
typedef PyObject *(*fastcall)(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames);

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *method; /* CPython's descriptor */
    PyTypeObject *owner; /* lent by it */
    fastcall function; /* … too; NULL: it is of another kind */
    enum signature_kind kind;
    PyObject *stand_in; /* the function that it looks like; NULL: nobody has asked */
} SignatureObject;

/* -- calling ------------------------------------------------------------------ */

static PyObject *
call(PyObject *callable, PyObject *const *args, size_t flags, PyObject *kwnames)
{
    SignatureObject *self = (SignatureObject *)callable;
    Py_ssize_t nargs = PyVectorcall_NARGS(flags);

    if (self->function != NULL && nargs > 0 && PyObject_TypeCheck(args[0], self->owner)) {
        return self->function(args[0], args + 1, nargs - 1, kwnames);
    }
    return ((PyMethodDescrObject *)self->method)->vectorcall(self->method, args, flags, kwnames);
}

/* On the class it is itself, as a function is. */
static PyObject *
signature_bind(PyObject *self, PyObject *object, PyObject *type)
{
    (void)type;
    if (object == NULL || object == Py_None) {
        return Py_NewRef(self);
    }
    return PyMethod_New(self, object);
}

/* -- looking like a function ---------------------------------------------------- */

/* Lends the function that it looks like. NULL with an exception. */
static PyObject *
stand_in(SignatureObject *self)
{
    PyObject *make;

    if (self->stand_in == NULL) {
        make = module_import("csqlite.signatures", "stand_in");
        if (make == NULL) {
            return NULL;
        }
        self->stand_in = PyObject_CallFunction(make, "Oi", self->method, (int)self->kind);
        Py_DECREF(make);
    }
    return self->stand_in;
}

static PyObject *
signature_getattro(SignatureObject *self, PyObject *name)
{
    PyObject *value = PyObject_GenericGetAttr((PyObject *)self, name);
    PyObject *function;

    if (value != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return value;
    }
    PyErr_Clear();
    function = stand_in(self);
    return function == NULL ? NULL : PyObject_GetAttr(function, name);
}

static PyObject *
get_class(SignatureObject *self, void *closure)
{
    (void)self;
    (void)closure;
    return Py_NewRef((PyObject *)&PyFunction_Type);
}

static PyObject *
get_of_method(SignatureObject *self, void *name)
{
    return PyObject_GetAttrString(self->method, name);
}

static PyObject *
signature_repr(SignatureObject *self)
{
    return PyObject_Repr(self->method);
}

/* Where it is found: so it can be pickled, and a copy is itself. */
static PyObject *
signature_reduce(SignatureObject *self, PyObject *unused)
{
    (void)unused;
    return PyObject_GetAttrString(self->method, "__qualname__");
}

/* -- the type ------------------------------------------------------------------- */

static int
signature_traverse(SignatureObject *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->method);
    Py_VISIT(self->stand_in);
    return 0;
}

static int
signature_clear(SignatureObject *self)
{
    Py_CLEAR(self->stand_in);
    return 0;
}

static void
signature_dealloc(SignatureObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->method);
    Py_CLEAR(self->stand_in);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyGetSetDef signature_getset[] = {
    {"__class__", (getter)get_class, NULL, NULL, NULL},
    {"__doc__", (getter)get_of_method, NULL, NULL, "__doc__"},
    {"__text_signature__", (getter)get_of_method, NULL, NULL, "__text_signature__"},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef signature_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(SignatureObject, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef signature_methods[] = {
    {"__reduce__", (PyCFunction)signature_reduce, METH_NOARGS, "Give its name."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot signature_slots[] = {
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_descr_get, signature_bind},
    {Py_tp_getattro, signature_getattro},
    {Py_tp_repr, signature_repr},
    {Py_tp_traverse, signature_traverse},
    {Py_tp_clear, signature_clear},
    {Py_tp_dealloc, signature_dealloc},
    {Py_tp_getset, signature_getset},
    {Py_tp_members, signature_members},
    {Py_tp_methods, signature_methods},
    {0, NULL},
};

static PyType_Spec signature_spec = {
    .name = "csqlite._csqlite._Method",
    .basicsize = sizeof(SignatureObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_METHOD_DESCRIPTOR,
    .slots = signature_slots,
};

/* -- the methods that look so --------------------------------------------------- */

/* Which methods of a type give something else than a coroutine. A dash is before the names of
 * those that stay as they are: nobody but csqlite calls them. */
static const char *const connection_kinds[KINDS] = {
    [GIVES_RESULT] = " blobopen cursor execute execute_fetchall execute_insert executemany "
                     "executescript session ",
    [GIVES_OTHER] = " stop -_backup -_dump -_enqueue -_handle -_hold -_holder "
                    "-_interrupt -_run -_watch ",
};
static const char *const cursor_kinds[KINDS] = {
    [GIVES_OTHER] = " _fetch_chunked -_tell_if_open ",
};
static const char *const no_kinds[KINDS] = {NULL};

/* Whether a name stands among `names`, behind `prefix`. */
static bool
is_listed(const char *names, const char *prefix, const char *name)
{
    char word[64];

    (void)snprintf(word, sizeof word, " %s%s ", prefix, name);
    return names != NULL && strstr(names, word) != NULL;
}

static PyObject *
make(PyTypeObject *type, PyObject *method, enum signature_kind kind)
{
    SignatureObject *self = (SignatureObject *)type->tp_alloc(type, 0);
    const PyMethodDef *definition = ((PyMethodDescrObject *)method)->d_method;

    if (self == NULL) {
        return NULL;
    }
    self->vectorcall = call;
    self->method = Py_NewRef(method);
    self->owner = PyDescr_TYPE(method);
    self->kind = kind;
    if (definition->ml_flags == (METH_FASTCALL | METH_KEYWORDS)) {
        self->function = (fastcall)(void (*)(void))definition->ml_meth;
    }
    return (PyObject *)self;
}

/* Lets one entry of a type's dict look like a function, if it is a method. */
static int
dress_one(PyTypeObject *type, PyTypeObject *target, PyObject *item, const char *const *kinds)
{
    PyObject *method = PyTuple_GET_ITEM(item, 1);
    const char *name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(item, 0));
    enum signature_kind kind = GIVES_COROUTINE;
    PyObject *made;
    int rc;

    if (name == NULL) {
        return -1;
    }
    if (!Py_IS_TYPE(method, &PyMethodDescr_Type) || is_listed(kinds[GIVES_OTHER], "-", name)) {
        return 0;
    }
    for (int each = 0; each < KINDS; each++) {
        if (is_listed(kinds[each], "", name)) {
            kind = (enum signature_kind)each;
        }
    }
    made = make(type, method, kind);
    rc =
        made == NULL ? -1 : PyObject_SetAttr((PyObject *)target, PyTuple_GET_ITEM(item, 0), made);
    Py_XDECREF(made);
    return rc;
}

static int
dress(PyTypeObject *type, PyTypeObject *target, const char *const *kinds)
{
    PyObject *items = PyDict_Items(target->tp_dict);
    int rc = items == NULL ? -1 : 0;

    for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(items); i++) {
        rc = dress_one(type, target, PyList_GET_ITEM(items, i), kinds);
    }
    Py_XDECREF(items);
    return rc;
}

int
signature_init(struct module_state *state, PyObject *module)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &signature_spec, NULL);
    int rc = -1;

    if (type == NULL) {
        return -1;
    }
    compat_forbid_new(type);
    if (dress(type, state->connection_type, connection_kinds) == 0 &&
        dress(type, state->cursor_type, cursor_kinds) == 0 &&
        dress(type, state->blob_type, no_kinds) == 0 &&
        dress(type, state->session_type, no_kinds) == 0) {
        rc = 0;
    }
    Py_DECREF(type);
    return rc;
}
