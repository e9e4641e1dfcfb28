#include "engine/graph.h"

namespace laconic::engine {

namespace {

// The attribute as a T, or null when the node has none.
template <typename T>
const T* find(const Node& node, const std::string& name) {
  const auto found = node.attributes.find(name);
  if (found == node.attributes.end()) return nullptr;
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) {
    throw Mismatch("the attribute " + name + " of " + node.operation + " is of another kind");
  }
  return value;
}

template <typename T>
T get(const Node& node, const std::string& name, const T& fallback) {
  const T* value = find<T>(node, name);
  return value == nullptr ? fallback : *value;
}

}  // namespace

std::int64_t Node::integer(const std::string& name, std::int64_t fallback) const {
  return get(*this, name, fallback);
}

double Node::real(const std::string& name, double fallback) const {
  return get(*this, name, fallback);
}

std::string Node::text(const std::string& name, const std::string& fallback) const {
  return get(*this, name, fallback);
}

std::vector<std::int64_t> Node::integers(const std::string& name,
                                         const std::vector<std::int64_t>& fallback) const {
  return get(*this, name, fallback);
}

std::vector<double> Node::reals(const std::string& name) const {
  return get(*this, name, std::vector<double>());
}

std::vector<std::string> Node::texts(const std::string& name) const {
  return get(*this, name, std::vector<std::string>());
}

const Constant* Node::constant(const std::string& name) const {
  return find<Constant>(*this, name);
}

std::shared_ptr<const Graph> Node::graph(const std::string& name) const {
  return get(*this, name, std::shared_ptr<const Graph>());
}

}  // namespace laconic::engine
