// The Python face of native/engine: a graph is told node by node, then run with NumPy's arrays.
#include "bind_engine.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <typeinfo>

#include "engine/session.h"
#include "kernels/instructions.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace laconic::engine;
using laconic::kernels::Pool;

namespace {

using Array = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;

DType dtype_of_array(const Array& array) {
  const nb::dlpack::dtype type = array.dtype();
  const auto code = static_cast<nb::dlpack::dtype_code>(type.code);
  if (code == nb::dlpack::dtype_code::Bool) return DType::boolean;
  if (code == nb::dlpack::dtype_code::Float && type.bits == 32) return DType::f32;
  if (code == nb::dlpack::dtype_code::Float && type.bits == 64) return DType::f64;
  const bool is_signed = code == nb::dlpack::dtype_code::Int;
  if (is_signed || code == nb::dlpack::dtype_code::UInt) {
    switch (type.bits) {
      case 8:
        return is_signed ? DType::i8 : DType::u8;
      case 16:
        return is_signed ? DType::i16 : DType::u16;
      case 32:
        return is_signed ? DType::i32 : DType::u32;
      case 64:
        return is_signed ? DType::i64 : DType::u64;
    }
  }
  throw Unsupported("an array of a type in which the engine cannot compute");
}

// The array's memory as a tensor: nothing is copied.
Tensor view(const Array& array) {
  Tensor out{dtype_of_array(array), {}, const_cast<void*>(array.data())};
  for (std::size_t i = 0; i < array.ndim(); ++i) {
    out.shape.push(static_cast<std::int64_t>(array.shape(i)));
  }
  return out;
}

// Shares the array's memory and keeps the array alive; the last owner may be any thread.
Constant shared(const Array& array) {
  auto keeper = std::shared_ptr<Array>(new Array(array), [](Array* held) {
    const nb::gil_scoped_acquire lock;
    delete held;
  });
  return {view(array), keeper};
}

Constant copied(const Array& array) {
  const Tensor source = view(array);
  Constant out = Constant::make(source.type, source.shape);
  if (source.bytes() > 0) std::memcpy(out.tensor.data, source.data, source.bytes());
  return out;
}

nb::object to_python(const Tensor& tensor) {
  // Not a vector, which would fill it with zeros first.
  auto* memory = new std::byte[std::max<std::size_t>(tensor.bytes(), 1)];
  if (tensor.bytes() > 0) std::memcpy(memory, tensor.data, tensor.bytes());
  const nb::capsule owner(memory,
                          [](void* held) noexcept { delete[] static_cast<std::byte*>(held); });
  std::vector<std::size_t> sizes(tensor.shape.begin(), tensor.shape.end());
  nb::object out;
  with_type(tensor.type, [&](auto item) {
    using Item = decltype(item);
    out = nb::cast(nb::ndarray<nb::numpy, Item>(memory, sizes.size(), sizes.data(), owner));
  });
  return out;
}

template <typename T>
bool all_are(const nb::sequence& items) {
  for (nb::handle item : items) {
    if (!nb::isinstance<T>(item)) return false;
  }
  return true;
}

struct GraphBuilder {
  std::shared_ptr<Graph> graph = std::make_shared<Graph>();
};

Attribute attribute(nb::handle value) {
  if (nb::isinstance<GraphBuilder>(value)) {
    return std::shared_ptr<const Graph>(nb::cast<const GraphBuilder&>(value).graph);
  }
  if (nb::isinstance<nb::str>(value)) return nb::cast<std::string>(value);
  if (nb::isinstance<nb::int_>(value)) return nb::cast<std::int64_t>(value);
  if (nb::isinstance<nb::float_>(value)) return nb::cast<double>(value);
  if (nb::isinstance<nb::tuple>(value) || nb::isinstance<nb::list>(value)) {
    const auto items = nb::cast<nb::sequence>(value);
    if (all_are<nb::int_>(items)) return nb::cast<std::vector<std::int64_t>>(value);
    if (all_are<nb::str>(items)) return nb::cast<std::vector<std::string>>(value);
    return nb::cast<std::vector<double>>(value);
  }
  return copied(nb::cast<Array>(value));
}

// Tells a Graph: names become numbers here.
void add_node(GraphBuilder& builder, const std::string& operation, const std::vector<int>& inputs,
              const std::vector<int>& outputs, const nb::dict& attributes) {
  Node node;
  node.operation = operation;
  node.inputs = inputs;
  node.outputs = outputs;
  for (const auto& [key, value] : attributes) {
    const auto name = nb::cast<std::string>(key);
    try {
      node.attributes.emplace(name, attribute(value));
    } catch (const std::bad_cast&) {
      throw Mismatch("the attribute " + name + " of " + operation +
                     " is no int64, float, text, list of these, array or program");
    }
  }
  builder.graph->nodes.push_back(std::move(node));
}

// A tensor that is asked for when the program is made.
void add_source(GraphBuilder& builder, int value, int type, const std::vector<std::int64_t>& shape,
                const nb::callable& fetch) {
  builder.graph->constants[value] = {
      dtype_of(type, builder.graph->values.at(static_cast<std::size_t>(value))),
      Shape(shape.begin(), shape.end()), [fetch] {
        const nb::gil_scoped_acquire lock;
        return shared(nb::cast<Array>(fetch()));
      }};
}

// A session with threads of its own.
class Network {
 public:
  Network(const GraphBuilder& builder, int threads, bool int8)
      : pool_(threads), session_(*builder.graph, Options{int8}) {}

  std::vector<nb::object> run(const std::vector<Array>& arrays) {
    return run_watched(arrays, nullptr);
  }

  // The outputs' place is taken by seconds: of each operator in turn, as (layer, seconds).
  std::vector<std::pair<int, double>> times(const std::vector<Array>& arrays) {
    std::vector<std::pair<int, double>> out;
    auto last = std::chrono::steady_clock::now();
    run_watched(arrays, [&](int node) {
      const auto now = std::chrono::steady_clock::now();
      out.emplace_back(node, std::chrono::duration<double>(now - last).count());
      last = now;
    });
    return out;
  }

  const Session& session() const { return session_; }
  int threads() const { return pool_.threads(); }

 private:
  std::vector<nb::object> run_watched(const std::vector<Array>& arrays,
                                      const Program::Watch& watch) {
    std::vector<Tensor> inputs;
    for (const Array& array : arrays) inputs.push_back(view(array));
    std::vector<nb::object> out;
    const nb::gil_scoped_release unlocked;
    session_.run(
        inputs, pool_,
        [&](const std::vector<Tensor>& outputs) {
          const nb::gil_scoped_acquire locked;
          for (const Tensor& tensor : outputs) out.push_back(to_python(tensor));
        },
        watch);
    return out;
  }

  Pool pool_;
  Session session_;
};

}  // namespace

void bind_engine(nb::module_& module) {
  nb::exception<Mismatch>(module, "MismatchError", PyExc_ValueError);
  nb::exception<Unsupported>(module, "UnsupportedError", PyExc_NotImplementedError);
  // Containers say so when they are asked for more items than any memory holds.
  nb::register_exception_translator([](const std::exception_ptr& error, void*) {
    try {
      std::rethrow_exception(error);
    } catch (const std::length_error&) {
      PyErr_SetString(PyExc_MemoryError, "the program asks for more memory than there is");
    }
  });
  nb::class_<GraphBuilder>(module, "Graph")
      .def(
          "__init__",
          [](GraphBuilder* self, std::int64_t opset) {
            new (self) GraphBuilder();
            self->graph->opset = opset;
          },
          "opset"_a)
      .def(
          "value",
          [](GraphBuilder& self, const std::string& name) { return self.graph->add(name); },
          "name"_a)
      .def(
          "input",
          [](GraphBuilder& self, int value, int type,
             const std::optional<std::vector<std::int64_t>>& sizes) {
            const bool known = sizes.has_value();
            self.graph->inputs.push_back({value, dtype_of(type, "an input"),
                                          sizes.value_or(std::vector<std::int64_t>()), known});
          },
          "value"_a, "type"_a, "sizes"_a.none())
      .def(
          "constant",
          [](GraphBuilder& self, int value, const Array& array) {
            const Constant held = copied(array);
            self.graph->constants[value] = {held.tensor.type, held.tensor.shape,
                                            [held] { return held; }};
          },
          "value"_a, "array"_a)
      .def("source", add_source, "value"_a, "type"_a, "shape"_a, "fetch"_a)
      .def("node", add_node, "operation"_a, "inputs"_a, "outputs"_a, "attributes"_a)
      .def(
          "output", [](GraphBuilder& self, int value) { self.graph->outputs.push_back(value); },
          "value"_a);
  nb::class_<Network>(module, "Network")
      .def(nb::init<const GraphBuilder&, int, bool>(), "graph"_a, "threads"_a, "int8"_a)
      .def("run", &Network::run, "inputs"_a)
      .def("times", &Network::times, "inputs"_a)
      .def_prop_ro("threads", &Network::threads)
      .def_prop_ro("constant_bytes",
                   [](const Network& self) { return self.session().constant_bytes(); })
      .def_prop_ro("arena_bytes", [](const Network& self) { return self.session().arena_bytes(); })
      .def_prop_ro("layers", [](const Network& self) {
        std::vector<nb::tuple> out;
        for (const Layer& layer : self.session().layers()) {
          out.push_back(
              nb::make_tuple(layer.node, layer.operation, layer.output, layer.form, layer.bytes));
        }
        return out;
      });
  module.def("operator_names", [] {
    std::vector<std::string> names;
    for (const auto& [name, entry] : operators()) names.push_back(name);
    return names;
  });
  module.def(
      "use_instructions",
      [](int widest) {
        laconic::kernels::use_at_most(static_cast<laconic::kernels::Instructions>(widest));
      },
      "widest"_a);
  module.def("instructions",
             [] { return laconic::kernels::name_of(laconic::kernels::instructions()); });
}
