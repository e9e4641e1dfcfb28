#include "check.h"
#include "engine/arena.h"

using laconic::engine::place_tenants;
using laconic::engine::Tenant;

namespace {

bool overlap(const Tenant& a, const Tenant& b) {
  const bool together = a.born <= b.dies && b.born <= a.dies;
  return together && a.bytes > 0 && b.bytes > 0 && a.place < b.place + b.bytes &&
         b.place < a.place + a.bytes;
}

}  // namespace

TEST("tenants that live at once never overlap, and every place is aligned") {
  check::Random random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<Tenant> tenants;
    for (int i = random.between(0, 30); i > 0; --i) {
      const int born = random.below(20);
      tenants.push_back(
          {static_cast<std::size_t>(random.below(1000)), born, born + random.below(6), 0});
    }
    const std::size_t total = place_tenants(tenants);
    for (std::size_t i = 0; i < tenants.size(); ++i) {
      CHECK(tenants[i].place % 64 == 0);
      CHECK(tenants[i].place + tenants[i].bytes <= total);
      for (std::size_t j = 0; j < i; ++j) CHECK(!overlap(tenants[i], tenants[j]));
    }
  }
}

TEST("a chain of equal layers needs the memory of two") {
  std::vector<Tenant> tenants;
  for (int step = 0; step < 50; ++step) tenants.push_back({4096, step, step + 1, 0});
  CHECK(place_tenants(tenants) == 2 * 4096);
}
