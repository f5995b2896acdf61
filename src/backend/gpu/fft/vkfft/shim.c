/* VkFFT on the Vulkan handles of another library: what Rust calls. VkFFT is one header of static
 * functions, whose structs only C can lay out. See raw.rs for who keeps what alive. */
#define VKFFT_BACKEND 0
#include "vkFFT.h"

/* VkFFT keeps pointers to all of this as long as the application lives. */
typedef struct {
    VkFFTApplication app;
    VkPhysicalDevice physical;
    VkDevice device;
    VkQueue queue;
    VkCommandPool pool;
    VkFence fence;
    VkBuffer work;
    uint64_t bytes;
} cubeclean_vkfft;

typedef struct {
    uint64_t physical, device, queue, work, bytes, length, lines;
    uint32_t family, real;
} cubeclean_vkfft_options;

static void release(cubeclean_vkfft *fft) {
    if (fft->fence) vkDestroyFence(fft->device, fft->fence, 0);
    if (fft->pool) vkDestroyCommandPool(fft->device, fft->pool, 0);
    free(fft);
}

/* Transforms of `lines` adjacent lines of `length` complex values, or of real ones padded to
 * length + 2. Submits to the queue, and waits: tables go to the device. */
int cubeclean_vkfft_create(const cubeclean_vkfft_options *o, cubeclean_vkfft **out) {
    cubeclean_vkfft *fft = calloc(1, sizeof *fft);
    if (!fft) return VKFFT_ERROR_MALLOC_FAILED;
    fft->physical = (VkPhysicalDevice)(uintptr_t)o->physical;
    fft->device = (VkDevice)(uintptr_t)o->device;
    fft->queue = (VkQueue)(uintptr_t)o->queue;
    fft->work = (VkBuffer)o->work;
    fft->bytes = o->bytes;

    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO, .queueFamilyIndex = o->family};
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    int result = VKFFT_SUCCESS;
    if (vkCreateCommandPool(fft->device, &pool, 0, &fft->pool)) result = VKFFT_ERROR_INVALID_COMMAND_POOL;
    else if (vkCreateFence(fft->device, &fence, 0, &fft->fence)) result = VKFFT_ERROR_FAILED_TO_CREATE_FENCE;
    if (result == VKFFT_SUCCESS) {
        VkFFTConfiguration c = VKFFT_ZERO_INIT;
        c.FFTdim = 1;
        c.size[0] = o->length;
        c.numberBatches = o->lines;
        c.performR2C = o->real;
        c.physicalDevice = &fft->physical;
        c.device = &fft->device;
        c.queue = &fft->queue;
        c.commandPool = &fft->pool;
        c.fence = &fft->fence;
        c.bufferSize = &fft->bytes;
        /* Tables of roots of unity: sines and cosines of shaders are not good to the last digits. */
        c.useLUT = 1;
        c.useLUT_4step = 1;
        /* When it fails it deletes what it made. */
        result = initializeVkFFT(&fft->app, c);
    }
    if (result == VKFFT_SUCCESS) *out = fft;
    else release(fft);
    return result;
}

/* Records a transform, exponent -1 or +1, after all that was submitted before, and before all that
 * will be. */
int cubeclean_vkfft_append(cubeclean_vkfft *fft, uint64_t commands, int exponent) {
    VkCommandBuffer buffer = (VkCommandBuffer)(uintptr_t)commands;
    VkMemoryBarrier all = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT,
    };
    VkPipelineStageFlags stages = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    VkFFTLaunchParams launch = VKFFT_ZERO_INIT;
    launch.commandBuffer = &buffer;
    /* Always the same pointer: descriptor sets are written the first time, and stay. */
    launch.buffer = &fft->work;
    vkCmdPipelineBarrier(buffer, stages, stages, 0, 1, &all, 0, 0, 0, 0);
    int result = VkFFTAppend(&fft->app, exponent, &launch);
    vkCmdPipelineBarrier(buffer, stages, stages, 0, 1, &all, 0, 0, 0, 0);
    return result;
}

/* The device must have finished all transforms. */
void cubeclean_vkfft_destroy(cubeclean_vkfft *fft) {
    deleteVkFFT(&fft->app);
    release(fft);
}

const char *cubeclean_vkfft_message(int result) {
    return getVkFFTErrorString((VkFFTResult)result);
}
