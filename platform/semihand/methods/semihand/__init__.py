"""SemiHand (Yang, Chen and Yao, ICCV 2021)."""
