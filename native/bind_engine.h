// The engine's classes in the Python module; bind.cc calls this.
#pragma once

#include <nanobind/nanobind.h>

void bind_engine(nanobind::module_& module);
