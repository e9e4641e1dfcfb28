// Runs every test of the engine, or those whose sentence holds the first argument.
#include "check.h"

int main(int argc, char** argv) {
  const std::string wanted = argc > 1 ? argv[1] : "";
  int ran = 0;
  for (const check::Test& test : check::tests()) {
    if (std::string(test.name).find(wanted) == std::string::npos) continue;
    const int before = check::failures();
    try {
      test.body();
    } catch (const std::exception& error) {
      check::report(false, error.what(), test.name, 0);
    }
    ++ran;
    if (check::failures() != before) std::printf("FAILED %s\n", test.name);
  }
  std::printf("%d tests, %d failures\n", ran, check::failures());
  return check::failures() == 0 && ran > 0 ? 0 : 1;
}
