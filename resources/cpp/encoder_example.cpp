// Fill in order-book windows with the exported encoder, without Python.
//
//     encoder_example MODEL.pt WINDOWS.f32 STATES FEATURES RECONSTRUCTION.f32 DESCRIPTION.f32 [cpu|cuda]
//
// MODEL.pt is the TorchScript module of export_encoder. WINDOWS.f32 holds windows one after another as 32-bit floats
// of this machine: states in time order, in each the features in the order of scaling.json, scaled as it says, NaN
// where unknown. The two results are written in the same form: a value for every entry, and the description of each
// state (as many numbers as the encoder is wide).
//
// Build: cmake -S resources/cpp -B build -DCMAKE_PREFIX_PATH="$(python -c 'import torch; print(torch.utils.cmake_prefix_path)')"
//        cmake --build build
#include <torch/script.h>

#include <cstdint>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

std::vector<float> read_floats(const std::string &path) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file) {
        throw std::runtime_error(path + ": cannot read it");
    }
    const std::streamsize size = file.tellg();
    if (size % static_cast<std::streamsize>(sizeof(float)) != 0) {
        throw std::runtime_error(path + ": not a file of 32-bit floats");
    }
    std::vector<float> values(static_cast<std::size_t>(size) / sizeof(float));
    file.seekg(0);
    file.read(reinterpret_cast<char *>(values.data()), size);
    return values;
}

void write_floats(const std::string &path, const at::Tensor &result) {
    const at::Tensor values = result.to(at::kCPU, at::kFloat).contiguous();
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char *>(values.data_ptr<float>()),
               static_cast<std::streamsize>(values.numel() * static_cast<std::int64_t>(sizeof(float))));
    if (!file) {
        throw std::runtime_error(path + ": cannot write it");
    }
}

int run(const std::vector<std::string> &arguments) {
    const std::int64_t states = std::stoll(arguments[2]);
    const std::int64_t features = std::stoll(arguments[3]);
    const torch::Device device(arguments.size() > 6 ? arguments[6] : "cpu");
    std::vector<float> values = read_floats(arguments[1]);
    const auto count = static_cast<std::int64_t>(values.size());
    if (states < 1 || features < 1 || count == 0 || count % (states * features) != 0) {
        throw std::runtime_error(arguments[1] + ": " + std::to_string(count) + " numbers are no windows of " +
                                 std::to_string(states) + " x " + std::to_string(features));
    }
    torch::jit::script::Module module = torch::jit::load(arguments[0], device);
    module.eval();
    c10::InferenceMode guard;
    const at::Tensor windows =
        torch::from_blob(values.data(), {count / (states * features), states, features}, at::kFloat).to(device);
    const auto results = module.forward({windows}).toTuple();
    write_floats(arguments[4], results->elements()[0].toTensor());
    write_floats(arguments[5], results->elements()[1].toTensor());
    return 0;
}

}  // namespace

int main(int argc, char **argv) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    if (arguments.size() < 6 || arguments.size() > 7) {
        std::cerr << "usage: encoder_example MODEL.pt WINDOWS.f32 STATES FEATURES RECONSTRUCTION.f32 DESCRIPTION.f32"
                     " [cpu|cuda]\n";
        return 2;
    }
    try {
        return run(arguments);
    } catch (const c10::Error &error) {
        std::cerr << "encoder_example: " << error.what_without_backtrace() << '\n';
    } catch (const std::exception &error) {
        std::cerr << "encoder_example: " << error.what() << '\n';
    }
    return 2;
}
