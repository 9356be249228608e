//! LibTorch, opened when it is first needed.
//!
//! The program does not name LibTorch among the libraries that it starts with. tch's bindings and
//! ours are a library of their own (`build/torch.rs`) that lies in the program as bytes; the first
//! call of any of their functions opens it, and with it LibTorch. A command that runs no network
//! starts without: hundreds of megabytes less to map, a tenth of a second less to wait.
//! Where there are no stubs (anywhere but on Linux on x86-64) the program starts with LibTorch.
#[cfg(not(libtorch_at_start))]
mod on_demand;

/// Opens LibTorch unless it is open.
///
/// # Errors
/// When a part of it is missing or of another version.
pub fn load() -> anyhow::Result<()> {
    #[cfg(not(libtorch_at_start))]
    on_demand::handle()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn functions_are_found_and_answer() {
        super::load().expect("LibTorch is there");
        // An integer, a float in a vector register, more arguments than registers, a call back.
        assert!(tch::get_num_threads() > 0);
        let tensor = tch::Tensor::from_slice(&[3.0f32, 4.0]) * 0.5;
        assert_eq!(Vec::<f32>::try_from(&tensor).expect("floats"), [1.5, 2.0]);
        let mut bytes = Vec::new();
        tch::Tensor::save_multi_to_stream(&[("x", &tensor)], &mut bytes).expect("written");
        let read = tch::Tensor::load_multi_from_stream(std::io::Cursor::new(bytes)).expect("read");
        assert!(read[0].0 == "x" && read[0].1 == tensor);
        let grid = tch::Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0]).view([1, 1, 2, 2]);
        let large = grid.upsample_bilinear2d([3, 3], true, 1.5, 1.5);
        assert_eq!(large.double_value(&[0, 0, 1, 1]), 2.5);
    }
}
